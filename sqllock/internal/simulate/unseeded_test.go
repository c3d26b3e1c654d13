//go:build !simulate

package simulate

import (
	"testing"
	"time"
)

// Without the overlay of `make simulate`, the runtime's randomness is its own, and no host is
// suspended: the seed decides what happens, and not how goroutines interleave.
const seeded = false

func seedRuntime(*testing.T, uint64) {}

func suspendHost(time.Duration) bool { return false }
