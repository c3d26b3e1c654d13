package sqllock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/anytx"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// Lock is an acquired lock, held until it is released or lost. Its methods are safe for concurrent
// use.
type Lock struct {
	c       *core
	lease   *lease
	claim   dialect.Claim
	fence   int64
	permits int         // of the semaphore, as the caller asked; 0 for other kinds
	delayed bool        // has a LockDelay
	shared  bool        // is a session lock that was taken shared
	inDoubt bool        // was requested twice: the first request may still be carried out late
	entry   *queueEntry // the entry in the database's queue that is being removed

	ctx      clock.Context
	cancel   context.CancelCauseFunc
	released atomic.Bool
	ended    atomic.Bool // it was noted how it ended
	hold     *holdTrace
}

// Name returns the lock's name.
func (l *Lock) Name() string { return l.claim.Name }

// Kind returns the kind of the lock.
func (l *Lock) Kind() Kind {
	if l.lease.session {
		return KindSession
	}
	return kindOfSlot(l.claim.Slot)
}

// Permit returns which permit of a [Semaphore] this is, counted from 0. It returns 0 for all other
// locks.
func (l *Lock) Permit() int {
	if l.Kind() != KindSemaphore {
		return 0
	}
	return l.claim.Slot - request.SlotPermits
}

// Fence returns the fencing token of this acquisition. It is greater than the token of every
// earlier acquisition of this name. That remains true after a release, an expiry, a purge by the
// reaper, a crash, and a failover that lost the last commits (as long as the servers' clocks differ
// by less than the time that the failover took). It is not true if the database's clock is set back
// by more than [Options].PurgeAfter after the row was purged.
//
// A resource that keeps the greatest token it has seen can refuse smaller ones (Kleppmann, How to
// do distributed locking, 2016). With [Lock.Guard] the resource need not keep a token.
func (l *Lock) Fence() int64 { return l.fence }

// Context returns a context that ends in these cases:
//
//   - With cause [ErrLost] when the lock can't be trusted any longer.
//   - With cause [ErrNotHeld] when the lock is released.
//   - With cause [ErrClosed] when the [Client] is closed.
//
// It has the values of the ctx that the lock was acquired with, but not that ctx's deadline or
// cancellation.
//
// The context of a lost lock ends before the lease expires, whether or not the database can be
// reached. Its Err and Done read the clock themselves: a process that was paused past the end of
// its lease, and calls Err before each step, never takes a lost lock for held. A context derived
// from it ends a moment later, when the process's timers have run.
//
// An acquisition with this context, or with one derived from it, is known to happen while the lock
// is held. That is how deadlocks are found: see [Client.Acquire] and [Holding].
func (l *Lock) Context() context.Context { return &l.ctx }

// Remaining returns for how long from now nobody else can get the lock, even if no heartbeat
// succeeds any more. It counts the lease's TTL from before the last successful heartbeat was sent,
// less a thousandth because clocks run at different speeds. It returns zero if the lock was
// released, or if it is certain or possible that the lease has ended.
//
// If [Lock.Context] has ended because the database did not answer, Remaining is still positive for
// a tenth of the TTL, for a second at most. That is the time to stop by force what does not stop by
// itself.
func (l *Lock) Remaining() time.Duration {
	if l.released.Load() || l.ctx.Context.Err() != nil && l.lease.remaining() > 0 { // a guard found another holder
		return 0
	}
	return l.lease.lasts()
}

// lockEnder ends the lock's context.
type lockEnder Lock

// EndIfLost ends the context if the lock cannot be relied on any longer.
func (e *lockEnder) EndIfLost() {
	l := (*Lock)(e)
	if l.ctx.Context.Err() != nil {
		return
	}
	if err := l.lease.err(l.Name()); err != nil {
		l.cancel(err)
	}
}

// Guard makes sure that the lock is still held and stays held until tx has ended. Nobody can take
// the lock over before that, however long this process is paused and whatever becomes of its lease.
//
// Call Guard last, right before the commit. Do not call [Lock.Release] before tx has ended, because
// Release would wait for tx. Begin tx after the lock was acquired. [Client.DoTx] does all of this.
//
// Guard blocks until the database has answered or ctx ends; it does not wait for other holders. Its
// errors are:
//
//   - [ErrLost] if another holds the lock by now, or the lock can't be trusted any longer. Roll
//     back.
//   - [ErrNotHeld] if the lock was released.
//   - [ErrInvalid] if tx is not a transaction, is in another database than the lock, or began
//     before the lock was acquired: under REPEATABLE READ and SERIALIZABLE such a transaction does
//     not see the acquisition.
func (l *Lock) Guard(ctx context.Context, tx Tx) error {
	var trace *guardTrace
	if l.c.tracers != nil {
		ctx, trace = l.c.tracers.guard(ctx, GuardStartData{l.data(), l.fence})
	}
	err := l.guard(ctx, tx)
	refused := errors.Is(err, ErrLost)
	if refused {
		l.c.counts.guardsRefused.Add(1)
	}
	trace.end(refused, err)
	return err
}

// guard implements Guard.
func (l *Lock) guard(ctx context.Context, tx Tx) error {
	if err := l.check(); err != nil {
		return err
	}
	in, err := anytx.Of(tx, "Guard of lock", l.Name())
	if err != nil {
		return err
	}
	return l.guardIn(ctx, in)
}

// guardIn implements Guard for a lock that is trusted.
func (l *Lock) guardIn(ctx context.Context, tx dialect.Tx) error {
	ours, err := l.c.store.Guard(ctx, tx, []dialect.Claim{l.claim})
	switch {
	case err != nil:
		return l.c.store.failed(fmt.Sprintf("guarding lock %q", l.Name()), err)
	case ours[0]:
		return nil
	case l.oursElsewhere(ctx):
		return l.unseen(ctx, tx)
	}
	err = lost(l.Name(), "its row no longer names this acquisition")
	l.cancel(err)
	l.noteEnded(err)
	return err
}

// unseen returns the reason why tx doesn't see that the lock is ours.
func (l *Lock) unseen(ctx context.Context, tx dialect.Tx) error {
	if locator, ok := l.c.store.Dialect.(dialect.Locator); ok {
		if of, own, err := locator.Locate(ctx, tx); err == nil && of != own {
			return fail.Invalid("Guard of lock %q: the transaction isn't in the lock's database: it is in %s, and the "+
				"lock in %s; begin it on the pool that the Client was made with", l.Name(), of, own)
		}
	}
	return fail.Invalid("Guard of lock %q: the transaction began before the lock was acquired, or is on another "+
		"server; begin it afterwards, on the pool that the Client was made with", l.Name())
}

// oursElsewhere reports whether a read outside of the caller's transaction finds that the lock is
// still ours.
func (l *Lock) oursElsewhere(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	rows, err := l.c.store.Get(ctx, []dialect.Key{l.claim.Key})
	return err == nil && rows[0].Owner == l.claim.Owner
}

// check returns an error if the lock was released or lost.
func (l *Lock) check() error {
	if l.released.Load() {
		return &releasedError{l.Name()}
	}
	return context.Cause(l.Context())
}

// releasedError is the cause with which the context of a released lock ends. Its text is made only
// if somebody reads it.
type releasedError struct{ name string }

func (e *releasedError) Error() string {
	return fmt.Sprintf("sqllock: %v: %q was released", ErrNotHeld, e.name)
}
func (e *releasedError) Unwrap() error { return ErrNotHeld }

// Release frees the lock. It also works if ctx has ended, and blocks for a few seconds at most. If
// [Lock.Guard] was called in a transaction that is still open, Release waits for that transaction.
// Its errors are:
//
//   - [ErrLost] if the lock was lost before. Nothing was changed.
//   - [ErrNotHeld] if the lock was released before.
//   - [ErrClosed] if [Client.Close], which releases all locks, is in progress.
//   - [ErrDeadlock] on SQLite if the calling goroutine itself has a transaction open. The lock is
//     released when that transaction has ended.
//   - An error of the database if the release could not be confirmed yet. It is retried in the
//     background until it is confirmed or the lease has expired.
func (l *Lock) Release(ctx context.Context) error {
	return l.release(ctx, func() error {
		return l.c.store.ownTx(context.WithoutCancel(ctx), "releasing lock", l.Name())
	})
}

// release implements Release. refused returns an error if the database can't be called now; the
// lock is then released in the background.
func (l *Lock) release(ctx context.Context, refused func() error) error {
	if !l.released.CompareAndSwap(false, true) {
		return fmt.Errorf("sqllock: %w: %q was released before", ErrNotHeld, l.Name())
	}
	defer l.lease.drop(l)
	if err := context.Cause(l.Context()); err != nil {
		l.noteEnded(err)
		return err
	}
	l.cancel(&releasedError{l.Name()})

	if err := refused(); err != nil {
		l.noteEnd(EndReleased, nil)
		l.lease.backend.releaseLater(l.lease, l.claim, l.doubtWindow())
		return fmt.Errorf("%w; the lock is released in the background when the transaction has ended, "+
			"or its lease has", err)
	}
	ours, err := l.lease.backend.release(l.c.store.Operation(ctx), l)
	if ended := l.lease.endedWith(l.Name()); (err != nil || !ours) && errors.Is(ended, ErrClosed) {
		l.noteEnded(ended)
		return ended // Close came first and releases all locks
	}
	if err != nil {
		l.noteEnd(EndReleased, nil)
		return err
	}
	if l.reads() && !l.inDoubt {
		l.c.readerSlots.leave(l.Name(), l.claim.Slot)
	}
	if !ours {
		err = lost(l.Name(), "its row no longer named this acquisition when it was released")
		l.noteEnded(err)
		return err
	}
	l.noteEnd(EndReleased, nil)
	return nil
}

// noteEnd notes how the lock ended, for the counts and the tracers. Only the first call counts.
func (l *Lock) noteEnd(end End, why error) {
	if !l.ended.CompareAndSwap(false, true) {
		return
	}
	if end == EndLost || end == EndBroken {
		l.c.counts.lost.Add(1)
	}
	l.hold.stop(end, why)
}

// noteEnded is noteEnd for a lock whose lease has ended, or that was taken away.
func (l *Lock) noteEnded(cause error) {
	switch {
	case errors.Is(cause, ErrClosed):
		l.noteEnd(EndClosed, cause)
	case errors.Is(cause, ErrLost) && l.lease.remaining() > 0:
		l.noteEnd(EndBroken, cause)
	case errors.Is(cause, ErrLost):
		l.noteEnd(EndLost, cause)
	}
}

// startHold says that the lock is its caller's, whose ctx that is. The lock is traced.
func (l *Lock) startHold(ctx context.Context) {
	l.hold.start(ctx, HoldStartData{LockData: l.data(), Fence: l.fence, Permit: l.Permit()})
}

// data describes the lock for tracers.
func (l *Lock) data() LockData {
	return LockData{Name: l.Name(), Kind: l.Kind(), Shared: l.shared || l.reads()}
}

// queueKey returns the key of the local queue whose waiters are woken by the release of this lock.
func (l *Lock) queueKey() queueKey {
	key := l.lease.queueKey(l.claim.Key)
	key.permits = l.permits
	return key
}

// doubtWindow returns for how long after its release the lock may still be taken by a request of
// this process that is on its way.
func (l *Lock) doubtWindow() time.Duration {
	if l.inDoubt {
		return l.lease.ttl
	}
	return 0
}

// discardLater releases in the background a lock that nobody waits for any more.
func (l *Lock) discardLater() {
	if l.released.Swap(true) {
		return
	}
	l.noteEnd(EndReleased, nil)
	l.cancel(errors.New("sqllock: discarded"))
	l.lease.drop(l)
	l.lease.backend.releaseLater(l.lease, l.claim, l.doubtWindow())
}
