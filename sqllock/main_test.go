package sqllock_test

import (
	"flag"
	"os"
	"testing"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
)

// TestMain checks properties with fewer random runs than rapid's hundred in make test, and with
// more in make test-all.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", long.Or("30", "300")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
