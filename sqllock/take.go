package sqllock

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// rounds bounds how often one attempt starts over because others changed the row between two of its statements.
const rounds = 3

// errLate: a grant that came when its lease couldn't be relied on any more, as in a process that was frozen.
var errLate = fmt.Errorf("%w: the database's answer came too late", ErrNotAcquired)

// taking is one acquisition under way.
type taking struct {
	c       *Client
	caller  context.Context // when it ends, no further statement is begun
	lease   *lease
	request dialect.Request
	queue   dialect.Key // of those who wait for it
	seat    *seat       // the caller's place in the queue, under this lease; nil: none
	fair    bool        // overtakes nobody in it
	unsure  bool        // a request's reply was lost: it may be carried out at any time yet
}

// take asks the database for the lock. The error is a *HeldError if somebody else has it.
func (c *Client) take(ctx context.Context, w wish, looking bool) (*Lock, error) {
	opCtx := c.operation(ctx)
	for {
		l, err := c.lease(opCtx, w.term())
		if err != nil {
			return nil, err
		}
		// A grant that arrives when the lease can't be relied on any more is none: no use in waiting for it.
		leaseCtx, cancel := opCtx, func() {}
		if left := l.left(); left < patience+eraLasts {
			leaseCtx, cancel = context.WithTimeout(opCtx, left)
		}
		lock, err := l.anchor.take(leaseCtx, ctx, l, w, looking)
		outlived := (leaseCtx.Err() != nil || l.left() <= 0) && opCtx.Err() == nil
		cancel()
		// That the lease ended meanwhile, in a process that was frozen say, is no failure: the next one may do.
		if err == nil || errors.Is(err, ErrNotAcquired) || !outlived || !nap(opCtx, jitter(firstPause)) {
			return lock, err
		}
		w.sent = nil // is being given back from here on
	}
}

// take takes the row, or one of the rows, that the wish is for.
func (a rowAnchor) take(ctx, caller context.Context, l *lease, w wish, looking bool) (*Lock, error) {
	switch {
	case w.semaphore:
		return a.takePermit(ctx, caller, l, w, looking)
	case w.shared:
		return a.takeShare(ctx, caller, l, w, looking)
	}
	return a.takeRow(ctx, caller, l, w, looking)
}

// takeRow takes the lock's row.
func (a rowAnchor) takeRow(ctx, caller context.Context, l *lease, w wish, looking bool) (*Lock, error) {
	t := &taking{c: a.c, caller: caller, lease: l, fair: w.fair, queue: w.queue(), request: w.request(l)}
	if w.sent != nil && w.sent.LeaseID == l.id {
		t.request, t.unsure = *w.sent, true
	}
	if w.seat != nil && w.seat.lease == l && !w.seat.over.Load() {
		t.seat = w.seat
	}
	grant, err := t.run(ctx, looking)
	if meetsReaders(err) {
		l.learnReaders(w.name)
	}
	if err != nil {
		l.unuse()
		if t.unsure {
			if t.seated() && t.seat.becomes() { // its token is being given back from here on
				l.unuse()
				t.seat.sweep()
			}
			a.settle(l, t.claim(), l.ttl)
		}
		return nil, err
	}
	if t.seated() && t.seat.becomes() {
		l.unuse() // the seat's use; the lock has its own
		t.seat.sweep()
		t.unsure = t.unsure || t.seat.unsure
	}
	return l.grant(caller, &Lock{
		claim: t.claim(), fence: grant.Fence, permits: w.permits, delayed: t.request.LockDelay > 0, unsure: t.unsure,
	})
}

func (t *taking) claim() dialect.Claim {
	return dialect.Claim{Key: t.request.Key, Owner: t.request.Owner}
}

// run takes the row if it is free. If not it looks at who holds it, and if that one is dead, frees the row and
// starts over. looking: a waiter knows that the row was held a moment ago, so it reads first and writes only when
// there is something to win.
func (t *taking) run(ctx context.Context, looking bool) (dialect.Grant, error) {
	var row dialect.Row
	for range rounds {
		if !looking {
			if err := t.behind(ctx); err != nil {
				return dialect.Grant{}, err
			}
			grant, err := t.ask(ctx)
			if err != nil || grant.Granted {
				return grant, err
			}
		}
		seen := row
		var found finding
		var err error
		if row, found, err = t.look(ctx); err != nil {
			return dialect.Grant{}, err
		}
		if found == held || found == stuck && row.Fence == seen.Fence {
			break
		}
		looking = found == stuck // somebody else may have freed it, or taken it: see which
	}
	if err := useOf(t.request.Owner).clash(row); err != nil {
		return dialect.Grant{}, err
	}
	return dialect.Grant{}, heldError(row, t.lease.id)
}

// finding is what a look at the row came to.
type finding int

const (
	free  finding = iota // by now
	held                 // by somebody alive, or barred
	stuck                // its holder is dead, and yet it can't be freed
)

func (t *taking) ask(ctx context.Context) (grant dialect.Grant, err error) {
	unsure, err := t.retry(ctx, func(ctx context.Context) (err error) {
		grant, err = t.c.acquires.do(ctx, t.request)
		return err
	})
	t.unsure = t.unsure || unsure
	return grant, err
}

// look reads the row, and clears it if its holder is dead.
func (t *taking) look(ctx context.Context) (row dialect.Row, found finding, err error) {
	_, err = t.retry(ctx, func(ctx context.Context) error {
		rows, err := t.c.dialect.Look(ctx, []dialect.Key{t.request.Key})
		if err == nil {
			row = rows[0]
		}
		return err
	})
	switch {
	case err != nil:
		return row, held, err
	case !row.Held && row.FreeIn > 0:
		return row, held, nil
	case !row.Held:
		return row, free, nil
	case row.Owner == t.request.Owner: // an answer was lost, and it was yes: ask again
		return row, free, nil
	case t.handedOver(row):
		return row, free, nil
	case row.Lease == dialect.LeaseLive:
		return row, held, nil
	}
	_, err = t.retry(ctx, func(ctx context.Context) error {
		found, err = t.c.clear(ctx, &row)
		return err
	})
	return row, found, err
}

// clear buries the lease of a row whose holder seemed dead, and frees the row. If the holder was alive after all,
// row says so then. Stuck: a transaction that the dead holder guards is not over, or the row has changed.
func (c *Client) clear(ctx context.Context, row *dialect.Row) (finding, error) {
	burials, err := c.dialect.BuryLeases(ctx, []string{row.LeaseID})
	if err != nil {
		return held, err
	}
	if b := burials[0]; !b.Dead {
		row.Lease, row.Remaining = dialect.LeaseLive, b.Remaining
		return held, nil
	}
	freed, err := c.dialect.Free(ctx, []dialect.Orphan{{
		Key: row.Key, Fence: row.Fence, LeaseID: row.LeaseID, Overdue: burials[0].Overdue,
	}})
	if err != nil || !freed[0] {
		return stuck, err
	}
	c.log.Info("sqllock: freed a dead holder's lock", "lock", row.Name, "holder", row.Holder,
		"fence", row.Fence, "overdue", burials[0].Overdue)
	return free, nil
}

// grant makes a lock that was granted the caller's, if that came in time.
func (l *lease) grant(caller context.Context, lock *Lock) (*Lock, error) {
	lock.c, lock.lease = l.c, l
	lock.ctx, lock.cancel = context.WithCancelCause(withHeld(context.WithoutCancel(caller), lock))
	if !l.hold(lock) {
		lock.cancel(context.Canceled)
		l.unuse()
		l.anchor.settle(l, lock.claim, lock.late())
		return nil, l.tooLate(lock.claim.Name)
	}
	return lock, nil
}

// tooLate says why a grant is none: the lease was over when it arrived.
func (l *lease) tooLate(name string) error {
	if l.c.open.Err() != nil {
		return errClosed
	}
	return fmt.Errorf("sqllock: %w: %q under a lease of %s", errLate, name, l.ttl)
}

// retry is Client.retry for as long as the caller is there: what he has left under way is let finish, but nothing
// more is begun for him. Else callers that come and go would pile up work.
func (t *taking) retry(ctx context.Context, op func(context.Context) error) (unsure bool, err error) {
	gone := false
	unsure, err = t.c.retry(ctx, func(ctx context.Context) error {
		if gone = t.caller.Err() != nil; gone {
			return nil
		}
		return op(ctx)
	})
	switch {
	case gone:
		return unsure, gaveUp(t.caller, t.request.Name, nil)
	case err != nil:
		return unsure, t.c.failed(fmt.Sprintf("acquiring lock %q", t.request.Name), err)
	}
	return unsure, nil
}
