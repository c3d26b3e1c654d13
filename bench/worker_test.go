package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
)

// A worker is this test binary run again, as a separate process that waits for the hot lock. It
// reads commands from stdin and writes a reply to each to stdout, as lines of JSON. It exits at the
// end of stdin.

const workerEnv = "SQLLOCK_BENCH_WORKER"

// command is a command to a worker. Do is open, start, stop or close.
type command struct {
	Do     string
	Kind   string
	Config lockers.Config
	Shared string // the file of the shared memory
	Name   string // the lock's name
}

// reply is a worker's reply to a command.
type reply struct {
	Err   string
	Holds []hold
}

// worker is the state of a worker process.
type worker struct {
	locker lockers.Locker
	shared *shared
	cancel context.CancelFunc
	result chan reply
}

// runWorker runs a worker process until it exits. In any other process it returns at once.
func runWorker() {
	if os.Getenv(workerEnv) == "" {
		return
	}
	var w worker
	out := json.NewEncoder(os.Stdout)
	for in := json.NewDecoder(os.Stdin); ; {
		var c command
		if in.Decode(&c) != nil {
			os.Exit(0)
		}
		r, err := w.do(c)
		if err != nil {
			r.Err = err.Error()
		}
		if err := out.Encode(r); err != nil { // the benchmark is gone
			os.Exit(1)
		}
	}
}

func (w *worker) do(c command) (r reply, err error) {
	switch c.Do {
	case "open":
		return r, w.open(c)
	case "start":
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.result = cancel, make(chan reply, 1)
		go func() { w.result <- w.takeRepeatedly(ctx, c.Name) }()
		return r, nil
	case "stop":
		if w.cancel == nil {
			return r, errors.New("it was never started")
		}
		w.cancel()
		w.cancel = nil
		select {
		case r = <-w.result:
			return r, nil
		case <-time.After(time.Minute):
			return r, errors.New("it still waits for the lock, a minute after its ctx has ended")
		}
	case "close":
		return r, w.close()
	}
	return r, fmt.Errorf("there is no command %q", c.Do)
}

func (w *worker) open(c command) error {
	k, err := lockers.Find(c.Kind)
	if err != nil {
		return err
	}
	if w.shared, err = openShared(c.Shared); err != nil {
		return err
	}
	w.locker, err = k.Open(context.Background(), c.Config)
	return err
}

func (w *worker) close() error {
	var err error
	if w.locker != nil {
		err = w.locker.Close()
	}
	if w.shared != nil {
		err = errors.Join(err, w.shared.close())
	}
	w.locker, w.shared = nil, nil
	return err
}

// takeRepeatedly takes the lock again and again until ctx ends.
func (w *worker) takeRepeatedly(ctx context.Context, name string) (r reply) {
	for ctx.Err() == nil {
		unlock, err := w.locker.Lock(ctx, name)
		if err != nil {
			if ctx.Err() == nil {
				r.Err = "lock: " + err.Error()
			}
			return r
		}
		got := monotonic()
		n, err := w.shared.take()
		if err != nil {
			r.Err = err.Error()
			return r
		}
		w.shared.leave()
		r.Holds = append(r.Holds, hold{Got: got, Released: monotonic()})
		if err := unlock(context.WithoutCancel(ctx)); err != nil {
			r.Err = "unlock: " + err.Error()
			return r
		}
		w.shared.awaitNext(ctx, n)
	}
	return r
}
