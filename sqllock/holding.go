package sqllock

import (
	"context"
	"slices"
)

// holding is a ctx that says which locks are held where it goes: who waits with it, waits while he holds them.
type holding struct {
	context.Context
	locks []*Lock
}

type holdingKey struct{}

// Value answers for the locks itself, and else as the ctx below does.
func (h *holding) Value(key any) any {
	if key == (holdingKey{}) {
		return h
	}
	return h.Context.Value(key)
}

// withHeld is ctx, where the lock is held too.
func withHeld(ctx context.Context, lock *Lock) context.Context {
	return &holding{ctx, append(heldIn(ctx), lock)}
}

// heldIn are the lease locks of which ctx says that they are held, and which are.
func heldIn(ctx context.Context) []*Lock {
	if h, ok := ctx.Value(holdingKey{}).(*holding); ok {
		return stillHeld(h.locks)
	}
	return nil
}

// stillHeld leaves out what is over, and what the server holds for a connection, of which no row tells.
func stillHeld(locks []*Lock) []*Lock {
	return slices.DeleteFunc(slices.Clone(locks), func(l *Lock) bool { return l.lease.session || l.check() != nil })
}

// Holding says which locks the caller holds while Acquire waits, for the search for deadlocks (ErrDeadlock), instead of
// what ctx says. It is for code that holds a lock and doesn't pass its ctx on: what is acquired with a ctx that comes from
// Lock.Context, or from Do, is known to be acquired while that lock is held, and the locks that ctx came from itself.
// Without locks it says that none is: for work that a lock's release doesn't wait for, as with context.WithoutCancel.
func Holding(locks ...*Lock) Option {
	return func(w *wish) { w.holding, w.saysHolding = locks, true }
}

// says is ctx, which says what is held as the wish does, if it does.
func (w wish) says(ctx context.Context) context.Context {
	if w.saysHolding {
		return &holding{ctx, w.holding}
	}
	return ctx
}

// checkHolding refuses what isn't a lease lock.
func (w wish) checkHolding() error {
	for i, l := range w.holding {
		switch {
		case l == nil || l.c == nil:
			return invalid("Holding of lock %q: its lock %d is nil, or wasn't acquired", w.name, i+1)
		case l.lease.session:
			return invalid("Holding of lock %q: %q is a Session lock, which the search for deadlocks can't see", w.name, l.Name())
		}
	}
	return nil
}
