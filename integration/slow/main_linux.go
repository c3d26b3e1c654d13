// Slow runs a command, and all processes that it starts, as on a slow and busy machine: each flush
// to the disk takes longer, and busy loops compete for the processors.
//
//	go run ./integration/slow -flush 5ms -busy 4 go test ./...
//
// A seccomp filter passes the system calls fsync, fdatasync, sync and syncfs to this process, which
// lets them continue after the delay. So it works for programs without a libc, such as SQLite in
// Go, as well as for servers, and it needs no privileges.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	flush := flag.Duration("flush", 5*time.Millisecond, "how much longer a flush takes")
	busy := flag.Int("busy", 4, "the number of busy loops")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "slow: no command given. For example: slow -flush 5ms -busy 4 go test ./...")
		os.Exit(2)
	}
	code, err := run(*flush, *busy, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "slow:", err)
		code = 2
	}
	os.Exit(code)
}

// run returns the command's exit code. A thread's filter applies to the processes that the thread
// starts, and the kernel kills these when the thread ends. So one thread does both, and lasts as
// long as this process.
func run(flush time.Duration, busy int, command []string) (code int, err error) {
	runtime.LockOSThread()
	for range busy {
		loop := exec.CommandContext(context.Background(), "/bin/sh", "-c", "while :; do :; done")
		loop.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := loop.Start(); err != nil {
			return 0, err
		}
	}
	listener, err := filter()
	if err != nil {
		return 0, fmt.Errorf("this kernel doesn't let a process watch another's system calls: %w", err)
	}
	var flushes atomic.Int64
	go delay(listener, flush, &flushes)
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err = cmd.Run()
	fmt.Fprintf(os.Stderr, "slow: %d flushes took %s longer each, beside %d busy loops\n", flushes.Load(), flush, busy)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(1, failed.ExitCode()), nil
	}
	return 0, err
}

// filter makes the flushes of this thread, and of the processes that it starts, wait for a reply
// through the descriptor.
func filter() (listener uintptr, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	const number = 0 // the system call's number is the first field of the filter's input
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC, unix.SYS_SYNCFS}
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	for i, call := range calls {
		rest := uint8(len(calls) - i)
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: rest, K: call})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	listener, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})))
	if failed != 0 {
		return 0, failed
	}
	return listener, nil
}

type request struct {
	id         uint64
	pid, flags uint32
	call       struct {
		number int32
		arch   uint32
		ip     uint64
		args   [6]uint64
	}
}

type reply struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// delay replies to each flush after the delay. Any number of flushes can wait at once.
func delay(listener uintptr, flush time.Duration, flushes *atomic.Int64) {
	for {
		var r request
		_, _, err := unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&r)))
		if err == unix.EINTR || err == unix.ENOENT { // the process that flushed has been killed
			continue
		}
		if err != 0 {
			fmt.Fprintln(os.Stderr, "slow: receiving a flush:", err)
			os.Exit(2)
		}
		flushes.Add(1)
		time.AfterFunc(flush, func() {
			a := reply{id: r.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
		})
	}
}
