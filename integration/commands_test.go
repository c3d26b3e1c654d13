package integration

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// The commands below concern one lock at a time.

// lockArgs selects a lock, and how to acquire it. At most one of Session, Shared, Writer and
// Permits is set.
type lockArgs struct {
	Name    string
	Session bool
	Shared  bool // an RWLock, as a reader
	Writer  bool // an RWLock, as the writer
	Permits int  // a semaphore of so many permits, unless 0
	Try     bool
	Limit   time.Duration // bounds the wait, unless 0
	Owner   string        // only for "serverGuard"
}

// acquired describes a lock that a worker has acquired.
type acquired struct {
	Fence int64
	Owner string
}

// ended reports whether a lock's context has ended, and why.
type ended struct {
	Over  bool
	Cause *remoteError
}

var (
	_ = handle("acquire", (*worker).acquire)
	_ = handle("release", (*worker).release)
	_ = handle("guard", (*worker).guard)
	_ = handle("serverGuard", (*worker).serverGuard)
	_ = handle("context", (*worker).context)
	_ = handle("freeze", (*worker).freeze)
)

func (args lockArgs) options() (opts []any) {
	if args.Session {
		opts = append(opts, locktest.Session)
	}
	if args.Shared {
		opts = append(opts, locktest.Shared)
	}
	if args.Writer {
		opts = append(opts, locktest.Writer)
	}
	if args.Permits > 0 {
		opts = append(opts, locktest.Permits(args.Permits))
	}
	return opts
}

func (w *worker) acquire(ctx context.Context, args lockArgs) (any, error) {
	take := locktest.Take
	if args.Try {
		take = locktest.TryTake
	}
	if args.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, args.Limit)
		defer cancel()
	}
	lock, err := take(ctx, w.locks, args.Name, args.options()...)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.held[args.Name] = lock
	w.mu.Unlock()
	lease, ok := lock.(*sqllock.Lock)
	if !ok {
		return acquired{}, nil
	}
	if args.Shared || args.Writer || args.Permits > 0 { // their rows have other keys
		return acquired{Fence: lease.Fence()}, nil
	}
	rows, err := w.target.Dialect.Get(context.WithoutCancel(ctx), []dialect.Key{{Name: args.Name}})
	if err != nil {
		return nil, err
	}
	return acquired{Fence: lease.Fence(), Owner: rows[0].Owner}, nil
}

func (w *worker) release(ctx context.Context, args lockArgs) (any, error) {
	lock, err := w.lock(args.Name)
	if err != nil {
		return nil, err
	}
	return nil, lock.Release(ctx)
}

// guard commits a transaction that contains only a guard.
func (w *worker) guard(ctx context.Context, args lockArgs) (any, error) {
	lock, err := w.leaseLock(args.Name)
	if err != nil {
		return nil, err
	}
	tx, err := w.target.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if err := lock.Guard(ctx, tx); err != nil {
		return nil, err
	}
	return nil, tx.Commit()
}

// serverGuard reports whether the database says that args.Owner holds the lock, regardless of what
// the Client knows.
func (w *worker) serverGuard(ctx context.Context, args lockArgs) (any, error) {
	tx, err := w.target.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	claim := dialect.Claim{Key: dialect.Key{Name: args.Name}, Owner: args.Owner}
	ours, err := w.target.Dialect.Guard(ctx, dialect.SQL(tx), []dialect.Claim{claim})
	if err != nil {
		return nil, err
	}
	return ours[0], nil
}

// context reports whether the lock's context has ended, or ends within args.Limit.
func (w *worker) context(_ context.Context, args lockArgs) (any, error) {
	lock, err := w.lock(args.Name)
	if err != nil {
		return nil, err
	}
	if args.Limit > 0 {
		select {
		case <-lock.Context().Done():
		case <-time.After(args.Limit):
		}
	}
	return ended{Over: lock.Context().Err() != nil, Cause: remote(context.Cause(lock.Context()))}, nil
}

// freeze stops the process at a moment when the Client has no statement in flight, and returns
// after the process was resumed. Frozen in the middle of a statement, it would hold the database's
// own locks, and on SQLite block every other process. A goroutine reads the contexts of all locks
// all the time; freeze returns the names of the locks whose context was still alive after their
// lease's end.
func (w *worker) freeze(context.Context, struct{}) (any, error) {
	w.gate.Lock()
	defer w.gate.Unlock()
	w.mu.Lock()
	contexts := make(map[string]context.Context)
	for name, lock := range w.held {
		contexts[name] = lock.Context() //nolint:fatcontext // each context belongs to another lock
	}
	w.mu.Unlock()
	stop, alive := make(chan struct{}), make(chan []string)
	over := time.Now().Add(w.setup.TTL) // no heartbeat passes the gate
	go func() { alive <- pollContexts(contexts, over, stop) }()
	w.event("frozen", nil)
	err := freezeSelf()
	close(stop)
	return <-alive, err
}

// pollContexts reads the contexts until stop is closed. It returns the sorted names of those that
// were alive at a moment later than after.
func pollContexts(contexts map[string]context.Context, after time.Time, stop chan struct{}) []string {
	alive := make(map[string]bool)
	for {
		late := time.Now().After(after)
		for name, ctx := range contexts {
			if ctx.Err() == nil && late {
				alive[name] = true
			}
		}
		select {
		case <-stop:
			return slices.Sorted(maps.Keys(alive))
		default:
		}
	}
}
