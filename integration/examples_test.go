package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/integration/servers"
)

// TestLedgerExample runs the demo of the README on every engine, as a user does with SQLLOCK_DATABASE_URL.
func TestLedgerExample(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ledger")
	build := exec.Command("go", "build", "-o", program, "../examples/ledger")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, engine := range servers.Engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+servers.Start(t, engine).Database(t))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "REFUSED by Guard") || !strings.Contains(string(out), "The ledger's proof") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
