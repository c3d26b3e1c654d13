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

// report is what the workers have reported of their writes.
type report struct {
	wrote map[job]int // how often each job was reported as written
	maybe job         // the killed worker's job, which may or may not have been written
}

// ledgerDemo starts the workers, receives their events, and prints these with the time.
type ledgerDemo struct {
	url     string
	out     io.Writer
	started time.Time
	workers map[int64]*exec.Cmd
	events  chan event
	ledger  *ledger
	wrote   map[job]int
	last    map[int64]int64 // the last job that each worker finished
}

const stepTimeout = 20 * time.Second // bounds the wait for one event

func newDemo(url string, l *ledger, out io.Writer) *ledgerDemo {
	return &ledgerDemo{
		url: url, ledger: l, out: out, started: time.Now(), last: make(map[int64]int64),
		workers: make(map[int64]*exec.Cmd), events: make(chan event), wrote: make(map[job]int),
	}
}

// until prints the workers' events until one matches. what describes it in errors.
func (s *ledgerDemo) until(ctx context.Context, what string, matches func(event) bool) (event, error) {
	timeout := time.After(stepTimeout)
	for {
		select {
		case e := <-s.events:
			s.receive(e)
			if matches(e) {
				return e, nil
			}
		case <-timeout:
			return event{}, fmt.Errorf("waited %s for %s in vain", stepTimeout, what)
		case <-ctx.Done():
			return event{}, context.Cause(ctx)
		}
	}
}

func (s *ledgerDemo) receive(e event) {
	if e.What == wrote || e.What == refused {
		s.last[e.Worker] = e.Job
	}
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

func (s *ledgerDemo) say(name, text string) {
	fmt.Fprintf(s.out, "%6.2f s  %-8s  %s\n", time.Since(s.started).Seconds(), name, text)
}

func name(worker int64) string { return "worker " + strconv.FormatInt(worker, 10) }

// start runs this program again as a worker.
func (s *ledgerDemo) start(ctx context.Context, id int64) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	//nolint:gosec,noctx // it is this program; clear ends it
	cmd := exec.Command(self, "worker", strconv.FormatInt(id, 10))
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

// finish asks the workers to end, and prints their last events.
func (s *ledgerDemo) finish(ctx context.Context) error {
	remaining := len(s.workers)
	for _, cmd := range s.workers {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	_, err := s.until(ctx, "the workers to leave", func(e event) bool {
		if e.What == exited {
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

// clear kills the workers that a failed demo has left running.
func (s *ledgerDemo) clear() {
	for id, cmd := range s.workers {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		delete(s.workers, id)
	}
}
