package clock

import (
	"syscall"
	"time"
	"unsafe"
)

// The clocks of clock_gettime(2) that never jump. Only the second one runs during suspend.
const (
	clockMonotonic = 1
	clockBoottime  = 7
)

// suspendedFor returns for how long the machine has been suspended since it was started, give or
// take a hundred microseconds.
func suspendedFor() time.Duration {
	for tries := 0; ; tries++ {
		before := read(clockMonotonic)
		boot := read(clockBoottime)
		after := read(clockMonotonic)
		if after-before < 100*time.Microsecond || tries == 5 { // otherwise this thread was interrupted in between
			return boot - before
		}
	}
}

func read(clock uintptr) time.Duration {
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock,
		uintptr(unsafe.Pointer(&ts)), 0); errno != 0 { //nolint:gosec // package syscall has no wrapper of clock_gettime
		return 0
	}
	return time.Duration(ts.Nano())
}
