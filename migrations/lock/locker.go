package lock

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// Locker is the lock in the form that goose expects. It is both a lock.Locker and a
// lock.SessionLocker of github.com/pressly/goose/v3/lock. Prefer goose.WithLocker, since this lock
// needs no connection from goose. A Locker may be used by one provider at a time.
type Locker struct {
	dialect dialect.Dialect
	options *Options

	mu   sync.Mutex
	held *Held
}

// New returns a [Locker] for the database behind d, which must be the one that is migrated. It
// sends nothing to the database. options may be nil.
func New(d dialect.Dialect, options *Options) *Locker { return &Locker{dialect: d, options: options} }

// Lock takes the lock: see [Take]. It does not use the *sql.DB, which is goose's.
func (l *Locker) Lock(ctx context.Context, _ *sql.DB) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		return fmt.Errorf("%w: this Locker holds the migration lock already", dialect.ErrInvalid)
	}
	held, err := Take(ctx, l.dialect, l.options)
	l.held = held
	return err
}

// Unlock releases the lock. The error [sqllock.ErrLost] means that the lock was lost while
// migrations ran, so another process may have run some at the same time.
func (l *Locker) Unlock(ctx context.Context, _ *sql.DB) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return fmt.Errorf("%w: this Locker doesn't hold the migration lock", dialect.ErrInvalid)
	}
	held := l.held
	l.held = nil
	return held.Release(ctx)
}

// SessionLock is the same as [Locker.Lock]. It does not use the *sql.Conn, which is goose's: the
// lock has its own connection.
func (l *Locker) SessionLock(ctx context.Context, _ *sql.Conn) error { return l.Lock(ctx, nil) }

// SessionUnlock is the same as [Locker.Unlock].
func (l *Locker) SessionUnlock(ctx context.Context, _ *sql.Conn) error { return l.Unlock(ctx, nil) }

// Context returns a context that ends when the lock can't be trusted any longer, with
// [sqllock.ErrLost] as its cause. goose doesn't use it: pass it to migrations that must not
// continue in that case. While the lock isn't held the returned context has ended.
func (l *Locker) Context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}
	return l.held.Context()
}
