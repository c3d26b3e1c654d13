//go:build unix

package child

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// own are the signals that concern this process and not the child: those of its own timers,
// children and faults, and those of a terminal that isn't the child's.
var own = []syscall.Signal{
	unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPROF,
	unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
}

const lastSignal = 64

// Signals returns a channel of the signals that are to be forwarded to a child. A signal that this
// process was started to ignore, as by nohup, stays ignored, by the child too.
func Signals() chan os.Signal {
	signals := make(chan os.Signal, 64)
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		internal := s == 32 || s == 33 // the C library's
		if !slices.Contains(own, s) && !internal && !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals
}

// Ends reports whether a signal asks this process to end while there is no child to forward it to.
func Ends(s os.Signal) bool {
	switch s {
	case unix.SIGCONT, unix.SIGWINCH, unix.SIGTSTP, unix.SIGIO:
		return false
	}
	return true
}

// Suspends reports whether a signal asks this process to stop until it is continued.
func Suspends(s os.Signal) bool { return s == unix.SIGTSTP }

// Suspend stops this process, as SIGTSTP does by default, and returns when it is continued.
func Suspend() { suspend(unix.Getpid()) }

// Continues reports whether a signal continues a process that is stopped.
func Continues(s os.Signal) bool { return s == unix.SIGCONT }
