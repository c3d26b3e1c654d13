package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Held is a lock that is held. Its methods are safe for concurrent use.
type Held struct {
	kind   Kind
	client *sqllock.Client // nil for None
	fence  int64           // 0 for a Session
	lock   acquired
}

// acquired has the common methods of *sqllock.Lock and *sqllock.SessionLock.
type acquired interface {
	Name() string
	Context() context.Context
	Release(ctx context.Context) error
}

// Kind returns Session, Lease or None.
func (h *Held) Kind() Kind { return h.kind }

// Context returns a context that ends when the lock can't be trusted any longer, with
// [sqllock.ErrLost] as its cause. Another process may then begin to migrate. With None it never
// ends.
func (h *Held) Context() context.Context {
	if h.lock == nil {
		return context.Background()
	}
	return h.lock.Context()
}

// Check reports whether the lock is still held. Call it before each migration. It returns
// [sqllock.ErrLost] if another process holds the lock or may hold it. Unlike [Held.Context] it also
// notices that a lease was broken. It waits a few seconds at most for the database; if the database
// doesn't respond, Context decides.
func (h *Held) Check(ctx context.Context) error {
	if h.lock == nil {
		return nil
	}
	if h.kind == Lease && h.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		info, err := h.client.Inspect(ctx, h.lock.Name())
		ours := (info.State == sqllock.StateHeld || info.State == sqllock.StateExpired) && info.Fence == h.fence
		if err == nil && !ours {
			return fmt.Errorf("%w: the migration lock was broken", sqllock.ErrLost)
		}
	}
	if h.Context().Err() != nil {
		return context.Cause(h.Context())
	}
	return nil
}

// Release releases the lock, also if ctx has ended. It returns [sqllock.ErrLost] if the lock had
// been lost before. Any other error means that the database couldn't confirm the release; the lock
// is then free after its TTL at the latest.
func (h *Held) Release(ctx context.Context) error {
	if h.lock == nil {
		return nil
	}
	return errors.Join(h.lock.Release(ctx), h.client.Close(ctx))
}
