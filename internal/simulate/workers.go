package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// figures are what a worker has done, as it prints them.
type figures struct {
	Rounds   int64
	Years    float64 // simulated, of all processes together; a time.Duration would end at 292
	Requests int64
	Grants   int64
	Faults   int64
}

func (f figures) plus(other figures) figures {
	return figures{
		f.Rounds + other.Rounds, f.Years + other.Years, f.Requests + other.Requests, f.Grants + other.Grants,
		f.Faults + other.Faults,
	}
}

// String says how much was done.
func (f figures) String() string {
	return fmt.Sprintf("%d rounds, %.2f process-years, %d requests, %d grants, %d faults",
		f.Rounds, f.Years, f.Requests, f.Grants, f.Faults)
}

// settings of a run.
type settings struct {
	lasts   time.Duration
	seed    uint64
	workers int
	shorten bool
}

// hangsAfter is how long a round, or shortening a schedule, may take.
const hangsAfter = 90 * time.Second

// simulate runs the simulator in a process for each worker, because a process has one source of
// randomness. It returns what was done, and what the first worker that failed has printed.
func simulate(ctx context.Context, program string, s settings, progress func(figures)) (figures, string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	done := make([]figures, s.workers)
	failure := ""
	sum := func() (all figures) {
		for _, f := range done {
			all = all.plus(f)
		}
		return all
	}
	var group sync.WaitGroup
	errs := make([]error, s.workers)
	for i := range s.workers {
		group.Go(func() {
			w := worker{program: program, settings: s, number: i}
			failed, err := w.run(ctx, func(f figures) {
				mu.Lock()
				defer mu.Unlock()
				done[i] = f
				if progress != nil {
					progress(sum())
				}
			})
			if ctx.Err() != nil {
				return
			}
			if errs[i] = err; failed != "" || err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failure == "" {
					failure = failed
				}
				cancel()
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return sum(), failure, err
		}
	}
	return sum(), failure, nil
}

// worker is one process of the simulator.
type worker struct {
	program string
	settings
	number int
}

// run runs the worker. failed is what it has printed if it failed.
func (w worker) run(ctx context.Context, did func(figures)) (failed string, err error) {
	cmd := exec.CommandContext(ctx, w.program, "-test.run=^TestSimulate$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1",
		"SQLLOCK_SIMULATE_FOR="+w.lasts.String(),
		fmt.Sprint("SQLLOCK_SIMULATE_SEED=", w.seed+uint64(w.number)),
		fmt.Sprint("SQLLOCK_SIMULATE_STRIDE=", w.workers), fmt.Sprint("SQLLOCK_SIMULATE_SHORTEN=", w.shorten))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return "", err
	}
	hangs := time.AfterFunc(hangsAfter, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hangs.Stop()
	var rest strings.Builder
	round := ""
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		text := lines.Text()
		if seed, ok := strings.CutPrefix(text, "round "); ok {
			round = seed
			hangs.Reset(hangsAfter)
			continue
		}
		if report, ok := strings.CutPrefix(text, "did "); ok {
			var f figures
			if err := json.Unmarshal([]byte(report), &f); err != nil {
				return "", err
			}
			did(f)
			continue
		}
		fmt.Fprintln(&rest, text)
	}
	if cmd.Wait() != nil {
		return fmt.Sprintf("seed %s failed:\n%s", round, rest.String()), nil
	}
	return "", nil
}
