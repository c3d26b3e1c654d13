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

// board is memory that all worker processes share: who holds the hot lock, and how often anybody has got it.
type board struct {
	memory []byte
	holder *atomic.Int64
	turns  *atomic.Int64
}

const boardSize = 4096

func makeBoard(path string) error { return os.WriteFile(path, make([]byte, boardSize), 0o600) }

func openBoard(path string) (*board, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, boardSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &board{
		memory: memory,
		holder: (*atomic.Int64)(unsafe.Pointer(&memory[0])), // a page begins where an int64 may
		turns:  (*atomic.Int64)(unsafe.Pointer(&memory[64])),
	}, nil
}

var errTwoHolders = errors.New("two processes held the lock at the same time: this is no lock")

// take says that this process has the lock. Whoever is fast because it doesn't lock must not win.
func (b *board) take() (turn int64, err error) {
	if !b.holder.CompareAndSwap(0, int64(os.Getpid())) {
		return 0, errTwoHolders
	}
	return b.turns.Add(1), nil
}

func (b *board) leave() { b.holder.Store(0) }

// awaitNext blocks until somebody has had a turn after that one.
func (b *board) awaitNext(ctx context.Context, turn int64) {
	for b.turns.Load() == turn && ctx.Err() == nil {
		time.Sleep(50 * time.Microsecond)
	}
}

func (b *board) close() error { return unix.Munmap(b.memory) }

// monotonic is a clock that all processes of the machine share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // it can't fail: the clock is there, and so is t
	}
	return t.Nano()
}
