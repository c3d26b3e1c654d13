package sqllock

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// TryAcquire takes the lock if it is free or its holder is dead. Otherwise it does not wait for the
// holder: it returns a [*HeldError], which is an [ErrNotAcquired] and says who holds the lock. Any
// other error means that the database failed, after a few seconds of retries at most; nothing stays
// taken. If ctx ends first, TryAcquire returns at once, with an error that is both ErrNotAcquired
// and ctx.Err(). ctx does not bound the lock: canceling it later does not release the lock.
func (c *Client) TryAcquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := c.exclusiveRequest(name, opts)
	if err != nil {
		return nil, err
	}
	return c.try(req.addHeld(ctx), req)
}

// exclusiveRequest returns the request for a lock that only one caller holds.
func (c *Client) exclusiveRequest(name string, opts []Option) (acquisition, error) {
	req, err := apply(c.leaseRequest(request.SlotExclusive, name), opts, Option.ApplyLock)
	if err != nil {
		return req, err
	}
	return req, c.checkLease(&req.Request)
}

// try implements TryAcquire for a request.
func (c *Client) try(ctx context.Context, req acquisition) (*Lock, error) {
	if err := c.ownTxOfAcquire(ctx, req.Name); err != nil {
		return nil, err
	}
	reads := req.Reads()
	// Repeatedly raising and lowering a reader's flag would keep a writer waiting, so a reader that
	// saw a writer a moment ago reads first.
	lock, _, err := c.attempt(ctx, req, reads && c.queues.contended(req.queueKey()), func() {})
	if reads && errors.Is(err, ErrNotAcquired) {
		c.queues.noteContended(req.queueKey())
	}
	if err == nil && lock.writes() {
		return c.checkNoReaders(ctx, lock)
	}
	return lock, err
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
// Goroutines of one Client get a lock in the order in which they asked for it. Between processes
// that is so on PostgreSQL, where a release hands the lock to the first waiter. If that waiter was
// killed just then, the others wait until its lease has expired. On other engines there is no order
// between processes, except with [Fair].
//
// Acquire detects deadlocks if ctx comes from a lock that is held: from [Lock.Context], or from the
// function given to [Client.Do], once.Do or an Election's Run. One of the callers that wait in a
// circle, usually the last one to come, then gets a [*DeadlockError] after a second or two. A
// circle is found across processes if every wait in it has such a ctx or uses [Holding], and is for
// an exclusive lease lock, for an [RWLock] that a writer holds, for the lead of an election or for
// the work of a key, in one database. Waiting for readers to leave, behind a writer that waits for
// readers, or for a permit is not examined.
func (c *Client) Acquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	req, err := c.exclusiveRequest(name, opts)
	if err != nil {
		return nil, err
	}
	return c.acquire(ctx, req)
}

// acquire is Acquire for a request.
func (c *Client) acquire(ctx context.Context, req acquisition) (lock *Lock, err error) {
	ctx = req.addHeld(ctx)
	if err := c.ownTxOfAcquire(ctx, req.Name); err != nil {
		return nil, err
	}
	if held := heldIn(ctx); len(held) > 0 && !req.Session && !req.IsPermit() {
		lock, err = c.watched(ctx, req, held)
	} else {
		lock, err = c.await(ctx, req)
	}
	// The database's last reply may have arrived just when ctx ended.
	if errors.Is(err, ErrNotAcquired) && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		held, _ := errors.AsType[*HeldError](err)
		err = gaveUp(ctx, req.Name, held)
	}
	return lock, err
}

// await waits in the local queue, and then in the database's, until the caller has the lock.
func (c *Client) await(ctx context.Context, req acquisition) (*Lock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, req.Name, nil)
	}
	if req.Reads() { // readers don't wait for each other, not in the local queue either
		lock, _, err := c.attempt(ctx, req, c.queues.contended(req.queueKey()), func() {})
		if err == nil || !errors.Is(err, ErrNotAcquired) && !c.unanswered(err) || ctx.Err() != nil {
			return lock, err
		}
	}
	q, err := c.queues.enter(ctx, req.queueKey())
	if err != nil {
		return nil, err
	}
	w := newWaiter(c, req, q)
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

// attempt tries once to take the lock. It returns as soon as ctx ends. The statement that is in
// flight by then runs on, and a lock that it is granted is released in the background; only after
// that is after called. abandoned reports that this is the case.
func (c *Client) attempt(
	ctx context.Context, req acquisition, readFirst bool, after func(),
) (lock *Lock, abandoned bool, err error) {
	if ctx.Err() != nil {
		return nil, false, gaveUp(ctx, req.Name, nil)
	}
	req.PickPermit()
	if !readFirst && !req.Session && !req.Fair && !req.Shared {
		if lock, abandoned, readFirst, err = c.attemptOnce(ctx, &req, after); lock != nil || err != nil {
			return lock, abandoned, err
		}
	}
	lock, abandoned, err = store.RunDetached(ctx, c.store,
		func() (*Lock, error) { return c.take(ctx, req, readFirst) },
		func(lock *Lock) {
			if lock != nil {
				lock.discardLater()
			}
			after()
		})
	if abandoned {
		err = c.gaveUpUnanswered(ctx, req.Name)
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
func (c *Client) attemptOnce(
	ctx context.Context, req *acquisition, after func(),
) (lock *Lock, abandoned, readFirst bool, err error) {
	l := c.leases.getOpen(req.leaseKey())
	if l == nil {
		return nil, false, false, nil
	}
	r := req.dialectRequest(l.id)
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	pending := c.store.Acquires.Send(ctx, r)
	select {
	case o := <-pending.Answer:
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
		switch c.store.Classify(o.Err) {
		case dialect.ClassTransient: // try again
		case dialect.ClassUnknown:
			req.sent = &r
		default:
			return nil, false, false, c.failed(fmt.Sprintf("acquiring lock %q", req.Name), o.Err)
		}
		return nil, false, false, nil
	case <-ctx.Done():
	}
	if c.store.Acquires.Withdraw(pending) {
		l.removeUser()
		return nil, false, false, gaveUp(ctx, req.Name, nil)
	}
	// If the Client is closed, nothing is spawned, and its leases are gone.
	abandoned = c.store.Spawn(func() { c.discardResult(l, claim, <-pending.Answer); after() })
	return nil, abandoned, false, c.gaveUpUnanswered(ctx, req.Name)
}

// discardResult releases what was granted, or may have been granted, to an abandoned request.
func (c *Client) discardResult(l *lease, claim dialect.Claim, o store.Result[dialect.Grant]) {
	l.removeUser()
	switch {
	case o.Err != nil && c.store.Classify(o.Err) == dialect.ClassUnknown:
		l.backend.releaseLater(l, claim, l.ttl)
	case o.Err == nil && o.Value.Granted:
		l.backend.releaseLater(l, claim, 0)
	}
}

// passing reports whether a database call that failed with err may succeed, or fail otherwise, a
// while later. Work that runs as long as the process must not end with an outage or a failover.
func (c *Client) passing(err error) bool {
	for _, final := range []error{ErrInvalid, ErrClosed, ErrSchema, ErrDeadlock} {
		if errors.Is(err, final) {
			return false
		}
	}
	return c.store.Classify(err) != dialect.ClassPermanent
}

// unanswered reports whether err means that the database did not answer, because it is busy,
// restarting or cut off. A call that may wait until its ctx ends then waits on. An error by which
// the database refuses something is an answer.
func (c *Client) unanswered(err error) bool {
	if err == nil || errors.Is(err, ErrNotAcquired) || errors.Is(err, ErrUnsupported) || !c.passing(err) {
		return false
	}
	class := c.store.Classify(err)
	return class == dialect.ClassTransient || class == dialect.ClassUnknown
}

// ownTxOfAcquire is ownTx for an acquisition, whose ctx may end meanwhile.
func (c *Client) ownTxOfAcquire(ctx context.Context, name string) error {
	if c.oneWriter == nil {
		return nil
	}
	err := c.ownTx(ctx, "acquiring lock", name)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", gaveUp(ctx, name, nil), err)
	}
	return err
}

// gaveUpUnanswered is gaveUp for a caller whose ctx ended before the database answered. The error
// says who has the database locked, if that is known.
func (c *Client) gaveUpUnanswered(ctx context.Context, name string) error {
	err := gaveUp(ctx, name, nil)
	if c.oneWriter != nil {
		if by := c.oneWriter.Writer(); by != "" {
			err = fmt.Errorf("%w; the database's write lock is held by %s", err, by)
		}
	}
	return err
}
