package gocronlock

import (
	"context"
	"fmt"

	"github.com/go-co-op/gocron/v2"

	"github.com/sqllock/sqllock/sqllock"
)

// Locker is a [gocron.Locker]. Its locks are lease locks with the names of the jobs.
type Locker struct {
	locks *sqllock.Client
	opts  []sqllock.Option
}

var _ gocron.Locker = (*Locker)(nil)

// NewLocker returns a [Locker] for gocron.WithDistributedLocker. The options, such as
// [sqllock.HoldAtLeast], apply to each lock. The caller must close the Client, and must do so after
// the scheduler has shut down. The error is [sqllock.ErrInvalid] if the Client is nil.
func NewLocker(locks *sqllock.Client, opts ...sqllock.Option) (*Locker, error) {
	if locks == nil {
		return nil, fmt.Errorf("gocronlock: %w: the *sqllock.Client is nil", sqllock.ErrInvalid)
	}
	return &Locker{locks: locks, opts: opts}, nil
}

// Lock takes the lock of a job. It does not wait: if another host runs the job, or has just run it,
// the error is [sqllock.ErrNotAcquired], and gocron skips this run. If the job's name can't be the
// name of a lock ([sqllock.CheckName]) the error is [sqllock.ErrInvalid]: name the job with
// gocron.WithName.
func (l *Locker) Lock(ctx context.Context, key string) (gocron.Lock, error) {
	lock, err := l.locks.TryAcquire(ctx, key, l.opts...)
	if err != nil {
		return nil, err
	}
	return held{lock}, nil
}

// held is the lock of a running job. gocron can't tell a job that its lock was lost. A job for
// which that matters should use the ctx of Client.Do instead.
type held struct{ lock *sqllock.Lock }

// Unlock releases the lock, also if ctx has ended. If the lock had been lost the error is
// [sqllock.ErrLost].
func (h held) Unlock(ctx context.Context) error { return h.lock.Release(ctx) }
