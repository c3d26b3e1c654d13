package lock

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// Locker is the lock in the form that goose wants: it is both a lock.Locker and a lock.SessionLocker of
// github.com/pressly/goose/v3/lock, of which WithLocker is the better choice, since this lock needs no connection of goose's.
// One Locker is for one provider at a time.
type Locker struct {
	dialect dialect.Dialect
	options *Options

	mu   sync.Mutex
	held *Held
}

// New makes a Locker for the database behind d, which must be the one that is migrated. It asks the database nothing. A nil
// Options is fine.
func New(d dialect.Dialect, options *Options) *Locker { return &Locker{dialect: d, options: options} }

// Lock takes the lock: see Take. The *sql.DB is goose's, and not used.
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

// Unlock lets go of the lock. An error that is sqllock.ErrLost says that it was lost while migrations ran, so another process
// may have run some at the same time.
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

// SessionLock is Lock. The *sql.Conn is goose's, and not used: the lock has a connection of its own.
func (l *Locker) SessionLock(ctx context.Context, _ *sql.Conn) error { return l.Lock(ctx, nil) }

// SessionUnlock is Unlock.
func (l *Locker) SessionUnlock(ctx context.Context, _ *sql.Conn) error { return l.Unlock(ctx, nil) }

// Context ends when the lock can't be trusted any longer, with cause sqllock.ErrLost. goose doesn't look at it: give it to
// what migrates if a migration must not go on then. It is over while the lock isn't held.
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
