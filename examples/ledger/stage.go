//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// job is one piece of work of one worker.
type job struct{ worker, number int64 }

// stage is where the workers play: it starts them, hears what they tell, and prints it with the time.
type stage struct {
	url     string
	out     io.Writer
	started time.Time
	workers map[int64]*exec.Cmd
	events  chan event
	wrote   map[job]int
}

const patience = 20 * time.Second // for one scene

func newStage(url string, out io.Writer) *stage {
	return &stage{
		url: url, out: out, started: time.Now(),
		workers: make(map[int64]*exec.Cmd), events: make(chan event), wrote: make(map[job]int),
	}
}

// play is the show. It answers how often each job was said to have been written.
func (s *stage) play(ctx context.Context) (map[job]int, error) {
	s.say("The show", fmt.Sprintf("four processes, one lock %q with a TTL of %s, one ledger", lockName, ttl))
	for id := int64(1); id <= 4; id++ {
		if err := s.start(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := s.lines(ctx, 5); err != nil {
		return nil, err
	}

	victim, err := s.strike(ctx, syscall.SIGKILL, "KILLED with kill -9 while it holds the lock")
	if err != nil {
		return nil, err
	}
	if err := s.takeover(ctx, victim); err != nil {
		return nil, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return nil, err
	}

	frozen, err := s.strike(ctx, syscall.SIGSTOP, "FROZEN with SIGSTOP while it holds the lock")
	if err != nil {
		return nil, err
	}
	if err := s.takeover(ctx, frozen); err != nil {
		return nil, err
	}
	if err := s.lines(ctx, 2); err != nil {
		return nil, err
	}
	s.say(name(frozen.Worker), "RESUMED: it goes on to write as if nothing had happened")
	if err := s.workers[frozen.Worker].Process.Signal(syscall.SIGCONT); err != nil {
		return nil, err
	}
	if _, err := s.until(ctx, "the late write's refusal", func(e event) bool {
		return e.What == refused && e.Fence == frozen.Fence
	}); err != nil {
		return nil, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return nil, err
	}
	s.say("The show", "ends; the workers may finish what they are at")
	return s.wrote, s.finish(ctx)
}

// strike sends a signal to the next worker that takes the lock.
func (s *stage) strike(ctx context.Context, sig syscall.Signal, what string) (event, error) {
	e, err := s.until(ctx, "a holder", func(e event) bool { return e.What == holds })
	if err != nil {
		return e, err
	}
	if err := s.workers[e.Worker].Process.Signal(sig); err != nil {
		return e, err
	}
	if sig == syscall.SIGKILL {
		_ = s.workers[e.Worker].Wait() // says "killed", which is what was asked for
		delete(s.workers, e.Worker)
	}
	s.say(name(e.Worker), what)
	return e, nil
}

// takeover waits for the next holder after one that was struck down.
func (s *stage) takeover(ctx context.Context, down event) error {
	from := time.Now()
	e, err := s.until(ctx, "a takeover", func(e event) bool { return e.What == holds && e.Worker != down.Worker })
	if err == nil {
		s.say(name(e.Worker), fmt.Sprintf("TOOK OVER from %s, whose lease ran out: %.1f s, TTL %s; the fence grew by %d",
			name(down.Worker), time.Since(from).Seconds(), ttl, e.Fence-down.Fence))
	}
	return err
}

// lines waits until n more lines are written.
func (s *stage) lines(ctx context.Context, n int) error {
	_, err := s.until(ctx, "more lines", func(e event) bool {
		if e.What == wrote {
			n--
		}
		return n <= 0
	})
	return err
}

// until prints what the workers tell until it is what the scene waits for.
func (s *stage) until(ctx context.Context, what string, enough func(event) bool) (event, error) {
	timeout := time.After(patience)
	for {
		select {
		case e := <-s.events:
			s.hear(e)
			if enough(e) {
				return e, nil
			}
		case <-timeout:
			return event{}, fmt.Errorf("waited %s for %s in vain", patience, what)
		case <-ctx.Done():
			return event{}, context.Cause(ctx)
		}
	}
}

func (s *stage) hear(e event) {
	switch e.What {
	case wrote:
		s.wrote[job{e.Worker, e.Job}]++
		s.say(name(e.Worker), fmt.Sprintf("wrote its line     fence %d", e.Fence))
	case holds:
		s.say(name(e.Worker), fmt.Sprintf("holds the lock     fence %d", e.Fence))
	case refused:
		s.say(name(e.Worker), fmt.Sprintf("REFUSED by Guard   fence %d: %s", e.Fence, e.Detail))
	default:
		s.say(name(e.Worker), strings.TrimSpace(e.What+" "+e.Detail))
	}
}

func (s *stage) say(who, what string) {
	fmt.Fprintf(s.out, "%6.2f s  %-8s  %s\n", time.Since(s.started).Seconds(), who, what)
}

func name(worker int64) string { return "worker " + strconv.FormatInt(worker, 10) }

// start runs this very program as a worker.
func (s *stage) start(ctx context.Context, id int64) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "worker", strconv.FormatInt(id, 10)) //nolint:gosec,noctx // it is this program; clear ends it
	cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+s.url)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.workers[id] = cmd
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) != nil { // not an event: show it as it is
				e = event{Worker: id, What: trouble, Detail: lines.Text()}
			}
			select {
			case s.events <- e:
			case <-ctx.Done():
			}
		}
	}()
	return nil
}

// finish asks the workers to end, and hears them out.
func (s *stage) finish(ctx context.Context) error {
	remaining := len(s.workers)
	for _, cmd := range s.workers {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	_, err := s.until(ctx, "the workers to leave", func(e event) bool {
		if e.What == left {
			remaining--
		}
		return remaining == 0
	})
	for id, cmd := range s.workers {
		err = errors.Join(err, cmd.Wait())
		delete(s.workers, id)
	}
	return err
}

// clear kills what a show that failed has left running.
func (s *stage) clear() {
	for id, cmd := range s.workers {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		delete(s.workers, id)
	}
}
