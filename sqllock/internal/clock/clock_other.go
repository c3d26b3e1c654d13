//go:build !linux

package clock

import "time"

// bootTime returns zero: no clock here runs during suspend, so the monotonic clock decides alone.
func bootTime() time.Duration { return 0 }
