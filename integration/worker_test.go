package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// A worker is another process of this test binary, which tests can kill and freeze. It reads
// commands from stdin and writes messages to stdout, each as a line of JSON. It ends when its stdin
// ends.

const workerEnv = "SQLLOCK_TEST_WORKER" // a setup as JSON

// setup configures a worker.
type setup struct {
	URL        string // empty for a worker without a Client
	Holder     string
	TTL        time.Duration
	KeepAlive  time.Duration
	ReapEvery  time.Duration
	PurgeAfter time.Duration
	TiDB       bool // use the statements for TiDB
}

// command asks a worker to do something. A worker runs its commands concurrently.
type command struct {
	ID   int
	Name string
	Args json.RawMessage
}

// message is what a worker sends: the reply to the command with that ID or, without an ID, an
// event.
type message struct {
	ID    int             `json:",omitempty"`
	Event string          `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
	Err   *remoteError    `json:",omitempty"`
}

// worker is the state of a worker process.
type worker struct {
	setup  setup
	target *open.Database
	gate   sync.RWMutex // held for reading while a statement is in flight
	locks  *sqllock.Client

	mu      sync.Mutex // guards the fields below
	out     *json.Encoder
	held    map[string]locktest.Held
	ending  []context.CancelFunc // of the running loads
	stopped bool
}

type handler func(w *worker, ctx context.Context, args json.RawMessage) (any, error)

// handlers are the commands that workers know. Each file adds its own with handle.
var handlers = map[string]handler{}

// handle adds a command to those that workers know. It returns true, so that it can initialize a
// package variable.
func handle[Args any](name string, f func(w *worker, ctx context.Context, args Args) (any, error)) bool {
	handlers[name] = func(w *worker, ctx context.Context, text json.RawMessage) (any, error) {
		var args Args
		if err := json.Unmarshal(text, &args); err != nil {
			return nil, err
		}
		return f(w, ctx, args)
	}
	return true
}

// runWorker runs a worker to its end. In any other process it returns at once.
func runWorker() {
	text := os.Getenv(workerEnv)
	if text == "" {
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	w := &worker{out: json.NewEncoder(os.Stdout), held: make(map[string]locktest.Held)}
	err := json.Unmarshal([]byte(text), &w.setup)
	if err == nil && w.setup.URL != "" {
		err = w.open(context.Background())
	}
	w.tell(message{Event: "ready", Err: remote(err)})
	if err != nil {
		os.Exit(1)
	}
	w.serve(context.Background())
	os.Exit(0)
}

func (w *worker) open(ctx context.Context) error {
	var err error
	if w.target, err = open.URL(w.setup.URL); err != nil {
		return err
	}
	if w.target.Migrations.Name == "sqlserver" { // Babelfish needs a second for each new connection
		w.target.DB.SetMaxIdleConns(20)
	}
	if w.setup.TiDB {
		w.target.Dialect = asTiDB(w.target.DB)
	}
	d := newFaultDialect(w.target.Dialect, func(_ string, do func()) {
		w.gate.RLock()
		defer w.gate.RUnlock()
		do()
	})
	w.locks, err = sqllock.New(ctx, d, &sqllock.Options{
		TTL: w.setup.TTL, KeepAlive: w.setup.KeepAlive, Holder: w.setup.Holder,
		ReapEvery: w.setup.ReapEvery, PurgeAfter: w.setup.PurgeAfter,
	})
	return err
}

// serve runs commands until stdin ends, which happens when the test's process dies.
func (w *worker) serve(ctx context.Context) {
	for in := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		var c command
		if in.Decode(&c) != nil {
			return
		}
		go func() {
			reply := message{ID: c.ID}
			do, ok := handlers[c.Name]
			if !ok {
				do = func(*worker, context.Context, json.RawMessage) (any, error) {
					return nil, fmt.Errorf("there is no command %q", c.Name)
				}
			}
			value, err := do(w, ctx, c.Args)
			reply.Err = remote(err)
			reply.Value, err = json.Marshal(value)
			if err != nil {
				reply.Err = remote(err)
			}
			w.tell(reply)
		}()
	}
}

// tell sends a message. If it can't, the test has ended, and the worker ends too.
func (w *worker) tell(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.out.Encode(m); err != nil {
		os.Exit(1) //nolint:gocritic // the mutex ends with the process
	}
}

func (w *worker) event(name string, value any) {
	text, err := json.Marshal(value)
	w.tell(message{Event: name, Value: text, Err: remote(err)})
}

// lock returns a lock that the worker holds or has held.
func (w *worker) lock(name string) (locktest.Held, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[name] == nil {
		return nil, fmt.Errorf("this worker has never held %q", name)
	}
	return w.held[name], nil
}

// leaseLock is like lock for what only lease locks can do.
func (w *worker) leaseLock(name string) (*sqllock.Lock, error) {
	held, err := w.lock(name)
	if err != nil {
		return nil, err
	}
	lock, ok := held.(*sqllock.Lock)
	if !ok {
		return nil, fmt.Errorf("%q is a %T", name, held)
	}
	return lock, nil
}

// sentinels are the errors that errors.Is recognizes on the other side of the pipe.
var sentinels = []error{
	sqllock.ErrNotAcquired, sqllock.ErrLost, sqllock.ErrNotHeld, sqllock.ErrClosed,
	sqllock.ErrSchema, sqllock.ErrInvalid, sqllock.ErrUnsupported, sqllock.ErrDeadlock,
	context.Canceled, context.DeadlineExceeded, errInDoubt,
}

// remoteError is an error from another process.
type remoteError struct {
	Text  string
	Known []int              // indexes of the sentinels for which errors.Is is true
	Held  *sqllock.HeldError `json:",omitempty"`
}

func remote(err error) *remoteError {
	if err == nil {
		return nil
	}
	e := &remoteError{Text: err.Error()}
	for i, target := range sentinels {
		if errors.Is(err, target) {
			e.Known = append(e.Known, i)
		}
	}
	e.Held, _ = errors.AsType[*sqllock.HeldError](err)
	return e
}

func (e *remoteError) Error() string { return e.Text }

// Is makes errors.Is work across the pipe.
func (e *remoteError) Is(target error) bool {
	for _, i := range e.Known {
		if sentinels[i] == target {
			return true
		}
	}
	return false
}
