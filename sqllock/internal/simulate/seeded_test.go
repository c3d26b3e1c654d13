//go:build simulate

package simulate

import (
	"testing"
	"testing/cryptotest"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/sqllock/sqllock/sqllock/internal/clock"
)

// With the overlay of `make simulate`, all randomness comes from the seed.
const seeded = true

//go:linkname setRuntimeSeed runtime.setBubbleSeed
func setRuntimeSeed(seed uint64)

func seedRuntime(t *testing.T, seed uint64) {
	clock.Suspended.Store(0)
	cryptotest.SetGlobalRandom(t, seed)
	setRuntimeSeed(seed)
}

// suspendHost lets all clocks but Go's monotonic one run for d.
func suspendHost(d time.Duration) bool {
	clock.Suspended.Add(int64(d))
	return true
}
