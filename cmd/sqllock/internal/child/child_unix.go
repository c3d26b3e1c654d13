//go:build unix

package child

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// run starts the child and waits until it has ended. It stays on one thread of the system, because
// that is what the child's Pdeathsig follows, and not the process.
func (c *Child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.terminal != nil {
		c.cmd.SysProcAttr.Foreground, c.cmd.SysProcAttr.Ctty = true, c.terminal.fd()
	}
	dieWithParent(c.cmd.SysProcAttr)
	if err := c.cmd.Start(); err != nil {
		c.terminal.takeBack() // a fork may have given it away before the exec failed
		started <- err
		return
	}
	started <- nil
	defer close(c.done)
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(c.PID(), &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && status.Stopped():
			c.stopped()
		default:
			c.ended(status)
			return
		}
	}
}

// ended records how the child has ended. From now on its process id may be another's.
func (c *Child) ended(status unix.WaitStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	c.exit = Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		c.exit = Exit{Signal: status.Signal()}
	}
	c.terminal.takeBack()
	// Those who share this process's group, such as the rest of a pipeline or a shell script, would
	// have got the keyboard's signal too, if the child had no group of its own.
	if c.terminal != nil && (c.exit.Signal == syscall.SIGINT || c.exit.Signal == syscall.SIGQUIT) {
		signal.Ignore(c.exit.Signal)
		_ = unix.Kill(0, c.exit.Signal)
	}
}

// stopped stops this process too, because the child has stopped, and returns when both go on.
func (c *Child) stopped() {
	if c.terminal == nil {
		return
	}
	c.terminal.takeBack()
	suspend(0)
	if c.resume() {
		if c.terminal.isOurs() { // otherwise the job continues in the background
			c.terminal.giveTo(c.PID())
		}
		_ = unix.Kill(-c.PID(), unix.SIGCONT)
	}
}

// suspend stops a process or, if pid is 0, this process's group, and returns when this process is
// continued. The signal is SIGTTIN, since Go keeps SIGTSTP from having its default effect once it
// was caught. If nobody could continue this process, the kernel ignores the signal.
func suspend(pid int) {
	resumed := make(chan os.Signal, 1)
	signal.Notify(resumed, unix.SIGCONT)
	defer signal.Stop(resumed)
	_ = unix.Kill(pid, unix.SIGTTIN)
	select {
	case <-resumed:
	case <-time.After(200 * time.Millisecond):
	}
}

// Signal sends a signal to the child's group. It does nothing if the child has ended, or if the
// signal is SIGCONT and the child has the terminal: it goes on when it has got that back.
func (c *Child) Signal(s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || s == unix.SIGCONT && c.terminal != nil {
		return nil
	}
	return unix.Kill(-c.PID(), s)
}

// Kill ends the child and all other processes of its group. It also ends those that the child has
// left behind: call it right after [Child.Done], while the group's id can't be another's.
func (c *Child) Kill() { _ = unix.Kill(-c.PID(), unix.SIGKILL) }

// terminal is the controlling terminal. A nil terminal means that there is none, or that it is not
// this process's to give away.
type terminal struct{ file *os.File }

// openTerminal returns the controlling terminal if this process is in its foreground group.
func openTerminal() *terminal {
	file, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	t := &terminal{file}
	if !t.isOurs() {
		_ = file.Close()
		return nil
	}
	return t
}

func (t *terminal) fd() int { return int(t.file.Fd()) }

// isOurs reports whether this process's group is the foreground group.
func (t *terminal) isOurs() bool {
	foreground, err := unix.IoctlGetInt(t.fd(), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// takeBack makes this process's group the foreground group.
func (t *terminal) takeBack() { t.giveTo(unix.Getpgrp()) }

// giveTo makes a group the foreground group. The kernel lets a background process do so only while
// SIGTTOU is blocked or ignored.
func (t *terminal) giveTo(group int) {
	if t != nil {
		withoutTTOU(func() { _ = unix.IoctlSetPointerInt(t.fd(), unix.TIOCSPGRP, group) })
	}
}
