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

// A worker is this test binary run again, as a process of its own that waits for the hot lock. It reads orders from
// stdin and answers each on stdout, a line of JSON each way, and ends with its stdin.

const workerEnv = "SQLLOCK_BENCH_WORKER"

// order is what the worker is to do: open, start, stop, close.
type order struct {
	Do     string
	Kind   string
	Config lockers.Config
	Board  string // a file
	Name   string // of the lock
}

// answer is what came of it.
type answer struct {
	Err   string
	Turns []turn
}

// worker is the state of a worker process.
type worker struct {
	locker lockers.Locker
	board  *board
	cancel context.CancelFunc
	result chan answer
}

// runWorker is the whole life of a worker process. In any other process it returns at once.
func runWorker() {
	if os.Getenv(workerEnv) == "" {
		return
	}
	var w worker
	out := json.NewEncoder(os.Stdout)
	for in := json.NewDecoder(os.Stdin); ; {
		var o order
		if in.Decode(&o) != nil {
			os.Exit(0)
		}
		a, err := w.do(o)
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil { // who asked is gone
			os.Exit(1)
		}
	}
}

func (w *worker) do(o order) (a answer, err error) {
	switch o.Do {
	case "open":
		return a, w.open(o)
	case "start":
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel, w.result = cancel, make(chan answer, 1)
		go func() { w.result <- w.turns(ctx, o.Name) }()
		return a, nil
	case "stop":
		if w.cancel == nil {
			return a, errors.New("it was never started")
		}
		w.cancel()
		w.cancel = nil
		select {
		case a = <-w.result:
			return a, nil
		case <-time.After(time.Minute):
			return a, errors.New("it still waits for the lock, a minute after its ctx has ended")
		}
	case "close":
		return a, w.close()
	}
	return a, fmt.Errorf("there is no order %q", o.Do)
}

func (w *worker) open(o order) error {
	k, err := lockers.Find(o.Kind)
	if err != nil {
		return err
	}
	if w.board, err = openBoard(o.Board); err != nil {
		return err
	}
	w.locker, err = k.Open(context.Background(), o.Config)
	return err
}

func (w *worker) close() error {
	var err error
	if w.locker != nil {
		err = w.locker.Close()
	}
	if w.board != nil {
		err = errors.Join(err, w.board.close())
	}
	w.locker, w.board = nil, nil
	return err
}

// turns takes the lock again and again.
func (w *worker) turns(ctx context.Context, name string) (a answer) {
	for ctx.Err() == nil {
		unlock, err := w.locker.Lock(ctx, name)
		if err != nil {
			if ctx.Err() == nil {
				a.Err = "lock: " + err.Error()
			}
			return a
		}
		got := monotonic()
		n, err := w.board.take()
		if err != nil {
			a.Err = err.Error()
			return a
		}
		w.board.leave()
		a.Turns = append(a.Turns, turn{Got: got, Released: monotonic()})
		if err := unlock(context.WithoutCancel(ctx)); err != nil {
			a.Err = "unlock: " + err.Error()
			return a
		}
		w.board.awaitNext(ctx, n)
	}
	return a
}
