package sqllock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// TryAcquire takes the lock if it is free or its holder is dead. It does not wait for a live
// holder: it returns a [*HeldError], which is an [ErrNotAcquired] and says who holds the lock. Any
// other error means that the database failed, after a few seconds of retries at most; nothing stays
// taken. If ctx ends first, TryAcquire returns within 50 ms, with an error that is both
// ErrNotAcquired and ctx.Err(). ctx does not bound the lock: canceling it later does not release
// the lock.
func (c *Client) TryAcquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := newRequest(c.core, request.Request{Name: name}, opts, Option.ApplyLock)
	if err != nil {
		return nil, err
	}
	return acquirer{c.core}.try(req.addHeld(ctx), req)
}

// acquirer acquires locks.
type acquirer struct{ *core }

// try implements TryAcquire for a request.
func (a acquirer) try(ctx context.Context, req acquisition) (*Lock, error) {
	if a.tracers != nil && req.trace == nil {
		return a.traced(ctx, req, true, a.try)
	}
	if err := a.store.ownTxOfAcquire(ctx, req.Name); err != nil {
		return nil, err
	}
	reads := req.Reads()
	// Repeatedly raising and lowering a reader's flag would keep a writer waiting, so a reader that
	// saw a writer a moment ago reads first.
	lock, _, err := a.attempt(ctx, req, reads && a.queues.contended(req.queueKey()), func() {})
	if reads && errors.Is(err, ErrNotAcquired) {
		a.queues.noteContended(req.queueKey())
	}
	if err == nil && lock.writes() {
		return flags(a).checkNoReaders(ctx, lock)
	}
	return lock, err
}

// traced makes the acquisition by acquire, which is called again with a trace, and traces it.
func (a acquirer) traced(
	ctx context.Context, req acquisition, try bool, acquire func(context.Context, acquisition) (*Lock, error),
) (lock *Lock, err error) {
	traced, trace := a.tracers.begin(ctx, AcquireStartData{LockData: req.data(), Try: try})
	req.trace = trace
	if lock, err = acquire(traced, req); err != nil {
		trace.end(0, err)
		return lock, err
	}
	trace.end(lock.fence, nil)
	lock.startHold(ctx)
	return lock, nil
}

// Acquire takes the lock and waits for it until ctx ends. ctx bounds only the wait: canceling it
// later does not release the lock. Nothing stays taken if Acquire returns an error.
//
// If ctx ends first, the error is both [ErrNotAcquired] and ctx.Err(), usually with a [*HeldError]
// that says who holds the lock. Acquire also waits for a database that does not answer because it
// is busy, restarting or cut off, and logs that every few seconds. Any other error means one of
// these:
//
//   - The database refuses the acquisition, because it takes no writes or the tables are missing
//     ([ErrSchema]).
//   - The [Client] was closed ([ErrClosed]).
//   - A name or an option breaks a rule ([ErrInvalid]).
//   - There is a deadlock ([ErrDeadlock]): see below. On SQLite, this also means that the calling
//     goroutine has a transaction open that Acquire would wait for.
//
// Goroutines of one Client get a lock in the order in which they asked for it. So do processes on
// PostgreSQL, where a release hands the lock to the first waiter. If that waiter was killed just
// then, the others wait until its lease has expired. On other engines there is no order between
// processes, except with [Fair].
//
// Acquire detects deadlocks if ctx comes from a lock that is held: from [Lock.Context], or from the
// function given to [Client.Do], once.Do or an Election's Run. One of the callers that wait in a
// circle, usually the last one to come, then gets a [*DeadlockError] after a second or two. A
// circle is found across processes if all its waits are in one database, and each of them has such
// a ctx or uses [Holding]. These waits are examined: for an exclusive lease lock, for an [RWLock]
// that a writer holds, for the lead of an election, and for a key of once.Do. These are not: for
// readers to leave, behind a writer that waits for readers, and for a permit.
func (c *Client) Acquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := newRequest(c.core, request.Request{Name: name}, opts, Option.ApplyLock)
	if err != nil {
		return nil, err
	}
	return acquirer{c.core}.acquire(ctx, req)
}

// acquire is Acquire for a request.
func (a acquirer) acquire(ctx context.Context, req acquisition) (lock *Lock, err error) {
	if a.tracers != nil && req.trace == nil {
		return a.traced(ctx, req, false, a.acquire)
	}
	ctx = req.addHeld(ctx)
	if err := a.store.ownTxOfAcquire(ctx, req.Name); err != nil {
		return nil, err
	}
	if held := heldIn(ctx); len(held) > 0 && !req.Session && !req.IsPermit() {
		lock, err = a.watched(ctx, req, held)
	} else {
		lock, err = a.await(ctx, req)
	}
	// The database's last reply may have arrived just when ctx ended.
	if errors.Is(err, ErrNotAcquired) && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		held, _ := errors.AsType[*HeldError](err)
		err = gaveUp(ctx, req.Name, held)
	}
	return lock, err
}

// await waits in the local queue, and then in the database's, until the caller has the lock.
func (a acquirer) await(ctx context.Context, req acquisition) (*Lock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, req.Name, nil)
	}
	if req.Reads() { // readers don't wait for each other, not in the local queue either
		lock, _, err := a.attempt(ctx, req, a.queues.contended(req.queueKey()), func() {})
		if err == nil || !errors.Is(err, ErrNotAcquired) && !a.store.unanswered(err) || ctx.Err() != nil {
			return lock, err
		}
	}
	q, busy, err := a.queues.enter(ctx, req.queueKey(), req.trace)
	if err != nil {
		return nil, err
	}
	w := &waiter{c: a, req: req, queue: q, began: time.Now(), readFirst: busy, firstWaiter: !busy}
	defer w.end()
	for {
		lock, err := w.step(ctx)
		if lock != nil && w.req.entry != nil && !w.req.entry.taken() {
			lock.entry = w.req.entry
		}
		if lock != nil && req.Slot == request.SlotWriter {
			lock, err = w.awaitReaders(ctx, lock)
		}
		if lock != nil || err != nil {
			return lock, err
		}
	}
}

// attempt tries once to take the lock. It returns as soon as ctx ends. If a statement is in flight
// then, abandoned is true: the statement runs on, and what it is granted is released in the
// background. In this case, after is called when the statement has ended.
func (a acquirer) attempt(
	ctx context.Context, req acquisition, readFirst bool, after func(),
) (lock *Lock, abandoned bool, err error) {
	if ctx.Err() != nil {
		return nil, false, gaveUp(ctx, req.Name, nil)
	}
	req.PickPermit()
	if !readFirst && !req.Session && !req.Fair && !req.Shared {
		if lock, abandoned, readFirst, err = a.attemptOnce(ctx, &req, after); lock != nil || err != nil {
			return lock, abandoned, err
		}
	}
	lock, abandoned, err = store.RunDetached(ctx, a.store.Store,
		func() (*Lock, error) { return a.take(ctx, req, readFirst) },
		func(lock *Lock) {
			if lock != nil {
				lock.discardLater()
			}
			after()
		})
	if abandoned {
		err = a.store.gaveUpUnanswered(ctx, req.Name)
	}
	return lock, abandoned, err
}

// attemptOnce sends the request once, under a lease that is open. It is alone in its statement, or
// in a batch. The caller waits for a batch without a goroutine of its own, which at five hundred
// callers saves a third of the work.
//
// It returns neither a lock nor an error if no lease is open, or if the answer leaves something to
// find out. readFirst then reports that the request was refused, and req.sent is set if its reply
// was lost.
func (a acquirer) attemptOnce(
	ctx context.Context, req *acquisition, after func(),
) (lock *Lock, abandoned, readFirst bool, err error) {
	l := a.leases.getOpen(req.leaseKey())
	if l == nil {
		return nil, false, false, nil
	}
	r := req.dialectRequest(l.id)
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	o, pending := a.store.Acquires.Send(ctx, r)
	if pending != nil {
		select {
		case o = <-pending.Answer:
		case <-ctx.Done():
			if a.store.Acquires.Withdraw(pending) {
				l.removeUser()
				return nil, false, false, gaveUp(ctx, req.Name, nil)
			}
			// If the Client is closed, nothing is spawned, and its leases are gone.
			abandoned = a.store.Spawn(func() { a.discardResult(l, claim, <-pending.Answer); after() })
			return nil, abandoned, false, a.store.gaveUpUnanswered(ctx, req.Name)
		}
	}
	if o.Err == nil && o.Value.Granted {
		lock, err = l.grant(ctx, &Lock{
			claim: claim, fence: o.Value.Fence, permits: req.Permits, delayed: r.LockDelay > 0,
		})
		return lock, false, false, err
	}
	l.removeUser()
	if o.Err == nil {
		return nil, false, true, nil
	}
	switch a.store.Classify(o.Err) {
	case dialect.ClassTransient: // try again
	case dialect.ClassUnknown:
		sent := r // a variable of its own, so that r needn't be on the heap
		req.sent = &sent
	default:
		return nil, false, false, a.store.failed(fmt.Sprintf("acquiring lock %q", req.Name), o.Err)
	}
	return nil, false, false, nil
}

// discardResult releases what was granted, or may have been granted, to an abandoned request.
func (a acquirer) discardResult(l *lease, claim dialect.Claim, o store.Result[dialect.Grant]) {
	l.removeUser()
	switch {
	case o.Err != nil && a.store.Classify(o.Err) == dialect.ClassUnknown:
		l.backend.releaseLater(l, claim, l.ttl)
	case o.Err == nil && o.Value.Granted:
		l.backend.releaseLater(l, claim, 0)
	}
}
