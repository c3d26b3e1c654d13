//go:build !linux

package clock

import "time"

// suspendedFor returns zero: no clock here runs during suspend, so the monotonic clock decides
// alone.
func suspendedFor() time.Duration { return 0 }
