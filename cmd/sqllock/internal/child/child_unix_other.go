//go:build unix && !linux

package child

import (
	"os/signal"
	"syscall"
)

// dieWithParent does nothing: no such kernel ends a process with its parent.
func dieWithParent(*syscall.SysProcAttr) {}

// withoutTTOU calls f while SIGTTOU is ignored. Go doesn't restore its default effect, so the next
// child would ignore it too.
func withoutTTOU(f func()) {
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	f()
}
