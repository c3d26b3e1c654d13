//go:build !linux

package servers

import "time"

// CPU needs Linux, as all private servers do.
func (i *Instance) CPU() (time.Duration, error) { return 0, errAbsent }
