package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Lock is a lock that is held, or was. Its methods are safe for concurrent use.
type Lock struct {
	c       *Client
	lease   *lease
	claim   dialect.Claim
	fence   int64
	permits int   // of the semaphore, for who took it; 0: none
	delayed bool  // has a LockDelay
	unsure  bool  // was asked for twice: the first request may be carried out late
	seat    *seat // in the queue for it, that is being left

	ctx      context.Context
	cancel   context.CancelCauseFunc
	released atomic.Bool
}

// Name is the lock's name.
func (l *Lock) Name() string { return l.claim.Name }

// Slot is the number of the permit of a semaphore (Permits), from 0; 0 for all other locks.
func (l *Lock) Slot() int {
	if l.claim.Slot >= MaxPermits {
		return 0
	}
	return l.claim.Slot
}

// Fence is the acquisition's fencing token: greater than that of every acquisition of this name before it, through
// release, expiry, the reaper, a crash, and a failover that lost the last commits (as long as the servers' clocks
// agree to within the time that it took). Whatever the lock protects can keep the greatest it has seen and refuse
// smaller ones (Kleppmann, How to do distributed locking, 2016). See Guard for what needs no such column. A Session
// lock has none: 0.
func (l *Lock) Fence() int64 { return l.fence }

// Context ends when the lock can't be trusted any longer, with cause ErrLost; when it is released, with
// ErrNotHeld; and when the Client is closed, with ErrClosed. It ends before the lease runs out, whether or not
// the database can be reached. It has the values of the ctx that the lock was acquired with, not its end. What
// is acquired with it is acquired while the lock is held: that is how deadlocks are found (see Acquire, and Holding).
func (l *Lock) Context() context.Context { return l.ctx }

// Guard makes sure that the lock is still ours, and stays ours until tx has ended: nobody can take it over before,
// however long this process is paused and whatever becomes of its lease. Call it last, right before tx.Commit();
// to Release before tx has ended would wait for it. If the lock is another's by now, or can't be trusted any
// longer, the error is ErrLost: roll back. It waits for the database until ctx ends, and not for other holders.
//
// Begin tx after the lock was acquired: under REPEATABLE READ and SERIALIZABLE an older transaction doesn't see
// the acquisition, which is an ErrInvalid. A Session lock has no row to hold: ErrUnsupported.
func (l *Lock) Guard(ctx context.Context, tx *sql.Tx) error {
	if err := l.check(); err != nil {
		return err
	}
	return l.lease.anchor.guard(ctx, tx, l)
}

// check refuses a lock that is known to be over. It looks at the clock itself: the timers of a process that was
// just resumed may not have fired yet.
func (l *Lock) check() error {
	if l.released.Load() {
		return fmt.Errorf("sqllock: %w: %q was released", ErrNotHeld, l.Name())
	}
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if l.lease.left() <= 0 {
		return lost(l.Name(), l.lease.outlived())
	}
	return nil
}

// Release frees the lock. It does so even if ctx has ended, and blocks for a few seconds at most: an error from the
// database says that it couldn't be confirmed yet, and it goes on in the background until it is, or the lease has
// run out. If the lock had been lost before, the error is ErrLost and nothing was changed; a second call answers
// ErrNotHeld. While a transaction that it Guards is open, Release waits.
func (l *Lock) Release(ctx context.Context) error {
	if !l.released.CompareAndSwap(false, true) {
		return fmt.Errorf("sqllock: %w: %q was released before", ErrNotHeld, l.Name())
	}
	defer l.lease.drop(l)
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if l.lease.left() <= 0 {
		err := lost(l.Name(), l.lease.outlived())
		l.cancel(err)
		return err
	}
	l.cancel(fmt.Errorf("sqllock: %w: %q was released", ErrNotHeld, l.Name()))

	ours, err := l.lease.anchor.release(l.c.operation(ctx), l)
	if err != nil {
		return err
	}
	if l.reads() && !l.unsure {
		l.c.stalls.leave(l.Name(), l.claim.Slot)
	}
	if !ours {
		return lost(l.Name(), "it was another's before it was released")
	}
	return nil
}

// place is where those of this process stand who hear of its release.
func (l *Lock) place() place {
	p := l.lease.place(l.claim.Key)
	p.permits = l.permits
	return p
}

// late is how long after its release the lock may yet be taken by a request of ours that is still on its way.
func (l *Lock) late() time.Duration {
	if l.unsure {
		return l.lease.ttl
	}
	return 0
}

// giveBack releases in the background a lock that nobody waits for any more.
func (l *Lock) giveBack() {
	if l.released.Swap(true) {
		return
	}
	l.cancel(errors.New("sqllock: given back"))
	l.lease.drop(l)
	l.lease.anchor.settle(l.lease, l.claim, l.late())
}
