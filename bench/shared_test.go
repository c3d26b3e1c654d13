package bench

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shared is memory that all worker processes share. It holds the current holder of the hot lock,
// and the number of acquisitions so far.
type shared struct {
	memory []byte
	holder *atomic.Int64
	holds  *atomic.Int64
}

const sharedSize = 4096

func makeShared(path string) error { return os.WriteFile(path, make([]byte, sharedSize), 0o600) }

func openShared(path string) (*shared, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, sharedSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &shared{
		memory: memory,
		holder: (*atomic.Int64)(unsafe.Pointer(&memory[0])), // the beginning of a page is aligned
		holds:  (*atomic.Int64)(unsafe.Pointer(&memory[64])),
	}, nil
}

var errTwoHolders = errors.New("two processes held the lock at the same time, so it excludes nobody")

// take records that this process holds the lock, and returns the number of the acquisition. It
// returns an error if another process holds the lock: a contender must not win by not locking.
func (s *shared) take() (hold int64, err error) {
	if !s.holder.CompareAndSwap(0, int64(os.Getpid())) {
		return 0, errTwoHolders
	}
	return s.holds.Add(1), nil
}

func (s *shared) leave() { s.holder.Store(0) }

// awaitNext blocks until there has been another acquisition after that one, or ctx ends.
func (s *shared) awaitNext(ctx context.Context, hold int64) {
	for s.holds.Load() == hold && ctx.Err() == nil {
		time.Sleep(50 * time.Microsecond)
	}
}

func (s *shared) close() error { return unix.Munmap(s.memory) }

// monotonic returns the time of a clock that all processes of the machine share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // can't fail: the clock exists, and t is valid
	}
	return t.Nano()
}
