package demo

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const stepTimeout = 30 * time.Second // bounds the wait for one line

// Line is a line of a process's output.
type Line struct{ Name, Text string }

// output is a line of a process's output, or the end of it.
type output struct {
	Line
	ended bool
}

// Start runs the example's program again with args, as a process with that name.
func (s *Demo) Start(name string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...) //nolint:gosec,noctx // it is this program; Close ends it
	cmd.Env = append(os.Environ(), urlEnv+"="+s.url)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running[name] = cmd
	go func() {
		for text := bufio.NewScanner(stdout); text.Scan(); {
			s.output <- output{Line: Line{name, text.Text()}}
		}
		s.output <- output{Line: Line{Name: name}, ended: true}
	}()
	return nil
}

// Until prints the output of the processes until a line begins with prefix, and returns that line.
func (s *Demo) Until(ctx context.Context, prefix string) (Line, error) {
	return s.UntilLine(ctx, fmt.Sprintf("%q", prefix), func(l Line) bool { return strings.HasPrefix(l.Text, prefix) })
}

// UntilLine is like [Demo.Until], for a line that matches. what describes the line in errors.
func (s *Demo) UntilLine(ctx context.Context, what string, matches func(Line) bool) (Line, error) {
	o, err := s.until(ctx, what, func(o output) bool { return !o.ended && matches(o.Line) })
	return o.Line, err
}

func (s *Demo) until(ctx context.Context, what string, matches func(output) bool) (output, error) {
	timeout := time.After(stepTimeout)
	for {
		select {
		case o := <-s.output:
			s.receive(o)
			if matches(o) {
				return o, nil
			}
		case <-timeout:
			return output{}, fmt.Errorf("waited %s for %s in vain", stepTimeout, what)
		case <-ctx.Done():
			return output{}, context.Cause(ctx)
		}
	}
}

func (s *Demo) receive(o output) {
	if o.ended {
		s.ended[o.Name] = true
		return
	}
	s.Say(o.Name, o.Text)
	if s.OnLine != nil {
		s.OnLine(o.Line)
	}
}

// Kill kills a process with SIGKILL.
func (s *Demo) Kill(ctx context.Context, name string) error {
	s.Say(name, "KILLED with kill -9")
	if err := s.running[name].Process.Kill(); err != nil {
		return err
	}
	_ = s.Wait(ctx, name) // returns "signal: killed", as intended
	return nil
}

// KillAt waits for a line of output that begins with prefix, kills its process, and returns the
// line.
func (s *Demo) KillAt(ctx context.Context, prefix string) (Line, error) {
	l, err := s.Until(ctx, prefix)
	if err == nil {
		err = s.Kill(ctx, l.Name)
	}
	return l, err
}

// Stop sends SIGTERM to processes, and waits until all have ended.
func (s *Demo) Stop(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := s.running[name].Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := s.Wait(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Wait waits for the end of a process. In the meantime it prints the output of all processes.
func (s *Demo) Wait(ctx context.Context, name string) error {
	if !s.ended[name] {
		if _, err := s.until(ctx, "the end of "+name, func(output) bool { return s.ended[name] }); err != nil {
			return err
		}
	}
	err := s.running[name].Wait()
	delete(s.running, name)
	delete(s.ended, name)
	return err
}
