package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A process reserves a port by a lock on the port's byte of a file that all processes which run
// these tests share. The kernel releases the lock when the process ends.
var ports struct {
	sync.Mutex
	file  *os.File
	taken map[int]bool // by this process
}

// reserve reserves the port for this process. It reports whether the port was free: no process,
// including this one, had reserved it.
func reserve(port int) (bool, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.file == nil {
		path := filepath.Join(os.TempDir(), "sqllock-ports")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return false, fmt.Errorf("reserving a port: %w", err)
		}
		ports.file, ports.taken = f, make(map[int]bool)
	}
	if ports.taken[port] {
		return false, nil
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(port), Len: 1}
	switch err := unix.FcntlFlock(ports.file.Fd(), unix.F_OFD_SETLK, &lock); err {
	case nil:
		ports.taken[port] = true
		return true, nil
	case unix.EAGAIN, unix.EACCES:
		return false, nil
	default:
		return false, fmt.Errorf("reserving port %d: %w", port, err)
	}
}
