package integration

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
)

// The commands for one lock at a time.

type lockArgs struct {
	Name    string
	Session bool
	Shared  bool
	Permits int
	Try     bool
	Limit   time.Duration // of the waiting
	Owner   string        // only for "serverGuard"
}

// acquired is a lock as the worker got it.
type acquired struct {
	Fence int64
	Owner string
}

// ended is what became of a lock's context.
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

func (args lockArgs) options() (opts []sqllock.Option) {
	if args.Session {
		opts = append(opts, sqllock.Session())
	}
	if args.Shared {
		opts = append(opts, sqllock.Shared())
	}
	if args.Permits > 0 {
		opts = append(opts, sqllock.Permits(args.Permits))
	}
	return opts
}

func (w *worker) acquire(ctx context.Context, args lockArgs) (any, error) {
	take := w.locks.Acquire
	if args.Try {
		take = w.locks.TryAcquire
	}
	if args.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, args.Limit)
		defer cancel()
	}
	lock, err := take(ctx, args.Name, args.options()...)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.held[args.Name] = lock
	w.mu.Unlock()
	if args.Session {
		return acquired{}, nil
	}
	if args.Shared || args.Permits > 0 { // whose rows are others
		return acquired{Fence: lock.Fence()}, nil
	}
	rows, err := w.target.Dialect.Look(context.WithoutCancel(ctx), []dialect.Key{{Name: args.Name}})
	if err != nil {
		return nil, err
	}
	return acquired{Fence: lock.Fence(), Owner: rows[0].Owner}, nil
}

func (w *worker) release(ctx context.Context, args lockArgs) (any, error) {
	lock, err := w.lock(args.Name)
	if err != nil {
		return nil, err
	}
	return nil, lock.Release(ctx)
}

// guard is a transaction with nothing but a guard in it.
func (w *worker) guard(ctx context.Context, args lockArgs) (any, error) {
	lock, err := w.lock(args.Name)
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

// serverGuard asks the database alone, past all that the Client knows: whether that owner holds the lock.
func (w *worker) serverGuard(ctx context.Context, args lockArgs) (any, error) {
	tx, err := w.target.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	ours, err := w.target.Dialect.Guard(ctx, tx, []dialect.Claim{{Key: dialect.Key{Name: args.Name}, Owner: args.Owner}})
	if err != nil {
		return nil, err
	}
	return ours[0], nil
}

// context tells whether the lock's context has ended, or ends within the limit.
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

// freeze stops the process when the Client has no statement under way, and answers after it was let go on. Frozen
// in the middle of one, it would hold the database's own locks, and on SQLite everybody else with it.
func (w *worker) freeze(context.Context, struct{}) (any, error) {
	w.gate.Lock()
	defer w.gate.Unlock()
	w.event("frozen", nil)
	return nil, freezeSelf()
}
