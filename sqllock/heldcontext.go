package sqllock

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/sqllock/internal/clock"
)

// heldContext is a context that says which locks are held where it is used. A caller that waits
// with it waits while they are held.
type heldContext struct {
	context.Context
	locks []*Lock
}

type heldContextKey struct{}

// Value returns h itself for its own key, and otherwise the value of the parent.
func (h *heldContext) Value(key any) any {
	if key == (heldContextKey{}) {
		return h
	}
	return h.Context.Value(key)
}

// heldIn returns the lease locks that ctx says are held and that still are.
func heldIn(ctx context.Context) []*Lock {
	if h, ok := ctx.Value(heldContextKey{}).(*heldContext); ok {
		return stillHeld(h.locks)
	}
	return nil
}

// stillHeld leaves out locks that are over, and session locks, which have no rows.
func stillHeld(locks []*Lock) []*Lock {
	return slices.DeleteFunc(slices.Clone(locks), func(l *Lock) bool { return l.lease.session || l.check() != nil })
}

// addHeld returns ctx with the locks that the Holding option names, if the request has one.
func (req *acquisition) addHeld(ctx context.Context) context.Context {
	if locks, ok := req.Held.([]*Lock); ok {
		return &heldContext{ctx, locks}
	}
	return ctx
}

// lockScope is the context of work under one lock.
type lockScope struct {
	lock   *Lock
	cancel context.CancelCauseFunc
}

// EndIfLost ends the scope if the lock has ended.
func (s *lockScope) EndIfLost() {
	if ctx := s.lock.Context(); ctx.Err() != nil {
		s.cancel(context.Cause(ctx))
	}
}

// scope returns a context for work under the lock. It ends with ctx, and with the lock and the
// lock's cause. It says that the lock is held. The caller must call end.
func (l *Lock) scope(ctx context.Context) (scoped context.Context, end context.CancelCauseFunc) {
	scoped, cancel := context.WithCancelCause(&heldContext{ctx, heldIn(l.Context())})
	s := &lockScope{lock: l, cancel: cancel}
	stop := context.AfterFunc(l.Context(), s.EndIfLost)
	return &clock.Context{Context: scoped, Of: s}, func(cause error) {
		stop()
		cancel(cause)
	}
}
