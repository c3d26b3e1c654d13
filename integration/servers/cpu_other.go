//go:build !linux

package servers

import "time"

// CPU returns an error: private servers need Linux.
func (i *Instance) CPU() (time.Duration, error) { return 0, errAbsent }
