package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Held is the lock while it is held. Its methods are safe for concurrent use.
type Held struct {
	kind   Kind
	client *sqllock.Client // nil for None
	lock   *sqllock.Lock
}

// Kind is Session, Lease or None.
func (h *Held) Kind() Kind { return h.kind }

// Context ends when the lock can't be trusted any longer, with cause sqllock.ErrLost: another process may begin to
// migrate. With None it never does.
func (h *Held) Context() context.Context {
	if h.lock == nil {
		return context.Background()
	}
	return h.lock.Context()
}

// Check is for the moment before each migration: an error, sqllock.ErrLost, says that the lock is another's by now, or may
// be. It sees more than Context: that somebody has broken a lease. It waits a few seconds at most for the database to answer,
// and where that doesn't, Context decides.
func (h *Held) Check(ctx context.Context) error {
	if h.lock == nil {
		return nil
	}
	if h.kind == Lease && h.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		info, err := h.client.Inspect(ctx, h.lock.Name())
		if ours := info.State == sqllock.Held || info.State == sqllock.Expired; err == nil && (!ours || info.Fence != h.lock.Fence()) {
			return fmt.Errorf("%w: somebody has broken the migration lock", sqllock.ErrLost)
		}
	}
	if h.Context().Err() != nil {
		return context.Cause(h.Context())
	}
	return nil
}

// Release lets go of the lock, also when ctx has ended. The error is sqllock.ErrLost if it had been lost before, and else
// says that the database couldn't confirm it: then the lock is free after its TTL at the latest.
func (h *Held) Release(ctx context.Context) error {
	if h.lock == nil {
		return nil
	}
	return errors.Join(h.lock.Release(ctx), h.client.Close(ctx))
}
