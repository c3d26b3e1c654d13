package gocronlock

import (
	"context"
	"fmt"

	"github.com/go-co-op/gocron/v2"
	"github.com/sqllock/sqllock/sqllock"
)

// Locker is a gocron.Locker whose locks are lease locks, by the names of the jobs.
type Locker struct {
	locks *sqllock.Client
	opts  []sqllock.Option
}

var _ gocron.Locker = (*Locker)(nil)

// NewLocker answers a Locker for gocron.WithDistributedLocker. The options go with each lock: sqllock.HoldAtLeast, for one. The
// Client stays the caller's to close, after the scheduler has been shut down. A nil Client is an ErrInvalid.
func NewLocker(locks *sqllock.Client, opts ...sqllock.Option) (*Locker, error) {
	if locks == nil {
		return nil, fmt.Errorf("gocronlock: %w: the *sqllock.Client is nil", sqllock.ErrInvalid)
	}
	return &Locker{locks: locks, opts: opts}, nil
}

// Lock takes the lock of a job, and doesn't wait: if another host runs the job, or has just done so, the error is a
// sqllock.ErrNotAcquired, and gocron leaves this run out. A job whose name can't be a lock's (sqllock.CheckName) is an ErrInvalid:
// name it with gocron.WithName.
func (l *Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	lock, err := l.locks.TryAcquire(ctx, key, l.opts...)
	if err != nil {
		return nil, err
	}
	return held{lock}, nil
}

// held is the lock of a job that is running. gocron has no way to tell the job that its lock was lost: where that matters, let it
// heed a ctx of its own, with Client.Do.
type held struct{ lock *sqllock.Lock }

// Unlock releases it, though ctx has ended. A lock that was lost is a sqllock.ErrLost.
func (h held) Unlock(ctx context.Context) error { return h.lock.Release(ctx) }
