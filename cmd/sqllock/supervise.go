package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sqllock/sqllock/cmd/sqllock/internal/child"
)

const (
	// maxKillTime is how long before the lease can end the child is killed, so that it is gone by
	// then.
	maxKillTime = 250 * time.Millisecond
	// lostTick is how often the lease is looked at between the child's SIGTERM and its SIGKILL. A
	// timer would not count the time of a suspended machine.
	lostTick = 5 * time.Millisecond
)

// childError is the end of a child that decides the exit code.
type childError struct {
	kind   string
	status int
	text   string
	told   bool // the user was told already, or the child's own code says it all
}

func (e *childError) Error() string { return e.text }

// supervisor runs a child for as long as what it needs is held.
type supervisor struct {
	a       *app
	args    []string
	env     []string
	timeout time.Duration // 0: none
	grace   time.Duration // between SIGTERM and SIGKILL if the lock isn't lost

	held      context.Context                 // ends when the child must stop
	trusted   func() bool                     // reports whether the child may run, by the clock
	remaining func() time.Duration            // until another process can get the lock
	graceFor  func(cause error) time.Duration // between SIGTERM and SIGKILL if held has ended; 0: the lease decides
}

// ended is how a child has ended, and why it was stopped, if it was.
type ended struct {
	child.Exit
	stopped error // the cause of held's end
	timeout bool
	asked   os.Signal // the last signal that was forwarded and that asks to end; nil if there was none
}

// run starts the child and returns when it has ended.
func (s *supervisor) run() (ended, error) {
	c, err := child.Start(child.Options{
		Args: s.args, Env: s.env, Resume: s.trusted,
	})
	if err != nil {
		return ended{}, err
	}
	s.emit(detail, event{Event: "started", PID: c.PID(), Message: fmt.Sprintf("started %s, process %d",
		child.Command(s.args), c.PID())})
	end := s.watch(c)
	end.Exit = c.Exit()
	status := end.Status()
	s.emit(detail, event{Event: "ended", PID: c.PID(), Exit: &status, Message: "the command ended: " + end.String()})
	return end, nil
}

// watch forwards signals to the child, and stops it when it must stop. It returns when the child
// has ended.
func (s *supervisor) watch(c *child.Child) (end ended) {
	var overtime, kill <-chan time.Time
	var stopping *stop
	if s.timeout > 0 {
		timer := time.NewTimer(s.timeout)
		defer timer.Stop()
		overtime = timer.C
	}
	held := s.held.Done()
	for {
		select {
		case <-c.Done():
			if stopping != nil {
				c.Kill() // what the child left behind must stop too
			}
			return end
		case signal := <-s.a.signals:
			s.forward(c, signal)
			if child.Ends(signal) {
				end.asked = signal
			}
		case <-held:
			held, overtime = nil, nil
			end.stopped = context.Cause(s.held)
			stopping = s.stopFor(end.stopped)
			kill = s.tell(c, stopping)
		case <-overtime:
			end.timeout, overtime = true, nil
			stopping = &stop{
				by: time.Now().Add(s.grace), reserve: maxKillTime,
				why: fmt.Sprintf("the command has run for %v", s.timeout),
			}
			kill = s.tell(c, stopping)
		case <-kill:
			kill = nil
			if !s.trusted() { // it may have been lost while the child had another reason to stop
				stopping.by = time.Time{}
			}
			if !stopping.due(s.remaining) {
				kill = time.After(lostTick)
				continue
			}
			s.emit(notable, event{Event: "killed", PID: c.PID(), Left: ms(s.remaining()), Message: fmt.Sprintf(
				"killed process group %d, which hadn't ended after SIGTERM", c.PID())})
			c.Kill()
		}
	}
}

// stop is a child's way from SIGTERM to SIGKILL.
type stop struct {
	why     string
	by      time.Time     // when to kill it; zero if reserve decides
	reserve time.Duration // kill it when the lease lasts no longer than that
}

// due reports whether it is time to kill the child.
func (p *stop) due(remaining func() time.Duration) bool {
	if !p.by.IsZero() {
		return !time.Now().Before(p.by)
	}
	return remaining() <= p.reserve
}

// stopFor plans how to stop the child because held has ended. Half of the time that is left is for
// the child, and the other half, but at most maxKillTime, for killing it.
func (s *supervisor) stopFor(cause error) *stop {
	p := &stop{why: bare(cause), reserve: maxKillTime}
	if grace := s.graceFor(cause); grace > 0 {
		p.by = time.Now().Add(grace)
		return p
	}
	p.reserve = min(s.remaining()/2, maxKillTime)
	return p
}

// tell sends SIGTERM to the child.
func (s *supervisor) tell(c *child.Child, p *stop) <-chan time.Time {
	left := s.remaining()
	_ = c.Signal(syscall.SIGTERM)
	s.emit(notable, event{Event: "stopping", PID: c.PID(), Left: ms(left), Message: fmt.Sprintf(
		"sent SIGTERM to process group %d: %s", c.PID(), p.why)})
	return time.After(0)
}

// forward passes a signal on to the child.
func (s *supervisor) forward(c *child.Child, signal os.Signal) {
	number, ok := signal.(syscall.Signal)
	if !ok || !s.trusted() && child.Continues(number) {
		return
	}
	_ = c.Signal(number)
	s.emit(detail, event{Event: "signal", PID: c.PID(), Signal: number.String(), Message: fmt.Sprintf(
		"forwarded signal %d (%s) to process group %d", int(number), number, c.PID())})
}

func (s *supervisor) emit(of importance, e event) { s.a.reporter().emit(of, e) }

// bare returns an error's text without the name of the library.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "sqllock: ") }

func ms(d time.Duration) *float64 {
	n := float64(d) / float64(time.Millisecond)
	return &n
}
