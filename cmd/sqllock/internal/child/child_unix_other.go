//go:build unix && !linux

package child

import "syscall"

// dieWithParent does nothing: no such kernel ends a process with its parent.
func dieWithParent(*syscall.SysProcAttr) {}
