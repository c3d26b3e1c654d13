//go:build !linux

package sqllock

import "time"

// bootTime is zero: no clock here runs during suspend, and the monotonic one decides alone.
func bootTime() time.Duration { return 0 }
