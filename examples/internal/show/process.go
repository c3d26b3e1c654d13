package show

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

const patience = 30 * time.Second // for one scene

// Line is what a process told.
type Line struct{ Who, Text string }

// line is what a process told, or that it has ended.
type line struct {
	Line
	ended bool
}

// Start runs the example's program again, with those arguments, as a process of that name.
func (s *Show) Start(name string, args ...string) error {
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
	s.playing[name] = cmd
	go func() {
		for text := bufio.NewScanner(stdout); text.Scan(); {
			s.lines <- line{Line: Line{name, text.Text()}}
		}
		s.lines <- line{Line: Line{Who: name}, ended: true}
	}()
	return nil
}

// Until prints what the processes tell, until one of them tells something that begins so. It answers that line.
func (s *Show) Until(ctx context.Context, begins string) (Line, error) {
	return s.UntilLine(ctx, fmt.Sprintf("%q", begins), func(l Line) bool { return strings.HasPrefix(l.Text, begins) })
}

// UntilLine is Until a line that is enough; what says which, for the error.
func (s *Show) UntilLine(ctx context.Context, what string, enough func(Line) bool) (Line, error) {
	l, err := s.until(ctx, what, func(l line) bool { return !l.ended && enough(l.Line) })
	return l.Line, err
}

func (s *Show) until(ctx context.Context, what string, enough func(line) bool) (line, error) {
	timeout := time.After(patience)
	for {
		select {
		case l := <-s.lines:
			if l.ended {
				s.ended[l.Who] = true
			} else {
				s.Say(l.Who, l.Text)
			}
			if enough(l) {
				return l, nil
			}
		case <-timeout:
			return line{}, fmt.Errorf("waited %s for %s in vain", patience, what)
		case <-ctx.Done():
			return line{}, context.Cause(ctx)
		}
	}
}

// Kill is kill -9.
func (s *Show) Kill(ctx context.Context, name string) error {
	s.Say(name, "KILLED with kill -9")
	if err := s.playing[name].Process.Kill(); err != nil {
		return err
	}
	_ = s.Wait(ctx, name) // says "killed", which is what was asked for
	return nil
}

// Stop asks processes to end (SIGTERM), and waits until all have.
func (s *Show) Stop(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := s.playing[name].Process.Signal(syscall.SIGTERM); err != nil {
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

// Wait waits for the end of a process, and prints meanwhile what all tell.
func (s *Show) Wait(ctx context.Context, name string) error {
	if !s.ended[name] {
		if _, err := s.until(ctx, "the end of "+name, func(line) bool { return s.ended[name] }); err != nil {
			return err
		}
	}
	err := s.playing[name].Wait()
	delete(s.playing, name)
	delete(s.ended, name)
	return err
}
