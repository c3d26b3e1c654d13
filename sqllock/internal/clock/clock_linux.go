package clock

import (
	"syscall"
	"time"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME of clock_gettime(2): a monotonic clock that also runs during
// suspend.
const clockBoottime = 7

func bootTime() time.Duration {
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime,
		uintptr(unsafe.Pointer(&ts)), 0); errno != 0 { //nolint:gosec // package syscall has no wrapper of clock_gettime
		return 0
	}
	return time.Duration(ts.Nano())
}
