package sqllock

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// rounds bounds how often an attempt starts over because others changed the row between two of its
// statements.
const rounds = 3

// attempt is one acquisition in progress.
type attempt struct {
	c       *core
	caller  context.Context // when it ends, no further statement is begun
	lease   *lease
	request dialect.Request
	queue   dialect.Key // the key of the database's queue
	entry   *queueEntry // the caller's queue entry under this lease; nil if it has none
	fair    bool        // passes ahead of nobody in the queue
	inDoubt bool        // a request's reply was lost: it may still be carried out at any time
}

// take asks the database for the lock. The error is a [*HeldError] if another holds it.
func (a acquirer) take(ctx context.Context, req acquisition, readFirst bool) (*Lock, error) {
	opCtx := a.store.Operation(ctx)
	for {
		l, err := a.leases.get(opCtx, req.leaseKey())
		if err != nil {
			return nil, err
		}
		// A grant that arrives when the lease can no longer be relied on is useless, so don't wait
		// for it.
		leaseCtx, cancel := opCtx, func() {}
		if left := l.remaining(); left < store.OperationTimeout+store.SharedDeadlineAge {
			leaseCtx, cancel = context.WithTimeout(opCtx, left)
		}
		lock, err := l.backend.take(leaseCtx, ctx, l, req, readFirst)
		expired := (leaseCtx.Err() != nil || l.remaining() <= 0) && opCtx.Err() == nil
		cancel()
		// If the lease ended meanwhile, for instance in a frozen process, try under the next lease.
		if err == nil || errors.Is(err, ErrNotAcquired) || !expired ||
			!store.Sleep(opCtx, store.Jitter(store.FirstBackoff)) {
			return lock, err
		}
		req.sent = nil // that request is released in the background from here on
	}
}

// take takes the row, or one of the rows, that the request is for.
func (a leaseBackend) take(ctx, caller context.Context, l *lease, req acquisition, readFirst bool) (*Lock, error) {
	switch {
	case req.IsPermit():
		return a.takePermit(ctx, caller, l, req, readFirst)
	case req.Shared:
		return a.takeShare(ctx, caller, l, req, readFirst)
	}
	return a.takeRow(ctx, caller, l, req, readFirst)
}

// takeRow takes the lock's row.
func (a leaseBackend) takeRow(ctx, caller context.Context, l *lease, req acquisition, readFirst bool) (*Lock, error) {
	t := &attempt{
		c: a.c, caller: caller, lease: l, fair: req.Fair, queue: req.Queue(), request: req.dialectRequest(l.id),
	}
	if req.sent != nil && req.sent.LeaseID == l.id {
		t.request, t.inDoubt = *req.sent, true
	}
	if req.entry != nil && req.entry.lease == l && !req.entry.over.Load() {
		t.entry = req.entry
	}
	grant, err := t.run(ctx, readFirst)
	if err != nil {
		l.removeUser()
		if t.inDoubt {
			if t.hasEntry() && t.entry.markClaimed() { // its token is released in the background from here on
				l.removeUser()
				t.entry.removeLate()
			}
			a.releaseLater(l, t.claim(), l.ttl)
		}
		return nil, err
	}
	if t.hasEntry() && t.entry.markClaimed() {
		l.removeUser() // the entry's use of the lease; the lock has its own
		t.entry.removeLate()
		t.inDoubt = t.inDoubt || t.entry.inDoubt
	}
	return l.grant(caller, &Lock{
		claim: t.claim(), fence: grant.Fence, permits: req.Permits,
		delayed: t.request.LockDelay > 0, inDoubt: t.inDoubt,
	})
}

func (t *attempt) claim() dialect.Claim {
	return dialect.Claim{Key: t.request.Key, Owner: t.request.Owner}
}

// run takes the row if it is free. Otherwise it reads who holds it; if the holder is dead, run
// frees the row and starts over. If readFirst is true, the row was held a moment ago, so run reads
// first and writes only if there is something to win.
func (t *attempt) run(ctx context.Context, readFirst bool) (dialect.Grant, error) {
	var row dialect.Row
	for range rounds {
		if !readFirst {
			if err := t.behind(ctx); err != nil {
				return dialect.Grant{}, err
			}
			grant, err := t.ask(ctx)
			if err != nil || grant.Granted {
				return grant, err
			}
		}
		seen := row
		var state rowState
		var err error
		if row, state, err = t.inspect(ctx); err != nil {
			return dialect.Grant{}, err
		}
		if state == rowHeld || state == rowGuarded && row.Fence == seen.Fence {
			break
		}
		readFirst = state == rowGuarded // another may have freed or taken it: read it again
	}
	return dialect.Grant{}, heldError(row, t.lease.id)
}

// rowState is what an attempt found out about a row.
type rowState int

const (
	rowFree    rowState = iota // free by now
	rowHeld                    // held by a live holder, or barred
	rowGuarded                 // its holder is dead, but it can't be freed
)

func (t *attempt) ask(ctx context.Context) (grant dialect.Grant, err error) {
	inDoubt, err := t.retry(ctx, func(ctx context.Context) (err error) {
		grant, err = t.c.store.Acquires.Do(ctx, t.request)
		return err
	})
	t.inDoubt = t.inDoubt || inDoubt
	return grant, err
}

// inspect reads the row, and clears it if its holder is dead.
func (t *attempt) inspect(ctx context.Context) (row dialect.Row, state rowState, err error) {
	_, err = t.retry(ctx, func(ctx context.Context) (err error) {
		row, err = t.c.store.Gets.Do(ctx, t.request.Key)
		return err
	})
	barred := !row.Held && row.FreeIn > 0
	t.c.expiry.Correct(&row)
	switch {
	case err != nil:
		return row, rowHeld, err
	case barred && row.FreeIn > 0:
		return row, rowHeld, nil
	case barred: // only by a clock that was set back
		_, err = t.retry(ctx, func(ctx context.Context) error {
			ended, err := t.c.expiry.EndBar(ctx, row)
			if state = rowGuarded; ended {
				state = rowFree
			}
			return err
		})
		return row, state, err
	case !row.Held:
		return row, rowFree, nil
	case row.Owner == t.request.Owner: // an earlier request was granted and its reply was lost: send it again
		return row, rowFree, nil
	case t.handedOver(row):
		return row, rowFree, nil
	case row.Lease == dialect.LeaseLive:
		return row, rowHeld, nil
	}
	_, err = t.retry(ctx, func(ctx context.Context) error {
		state, err = t.c.clear(ctx, &row)
		return err
	})
	return row, state, err
}

// clear expires the lease of a row whose holder seems dead, and frees the row. If the holder is
// alive after all, it updates row accordingly. It returns rowGuarded if a transaction that the dead
// holder guards has not ended, or if the row has changed.
func (c *core) clear(ctx context.Context, row *dialect.Row) (rowState, error) {
	expiry, err := c.expiry.Expire(ctx, *row)
	if err != nil {
		return rowHeld, err
	}
	if !expiry.Dead {
		row.Lease, row.Remaining = dialect.LeaseLive, expiry.Remaining
		return rowHeld, nil
	}
	freed, err := c.store.Free(ctx, []dialect.DeadHolder{{
		Key: row.Key, Fence: row.Fence, LeaseID: row.LeaseID, ExpiredFor: expiry.ExpiredFor,
	}})
	if err != nil || !freed[0] {
		return rowGuarded, err
	}
	c.counts.freed.Add(1)
	c.log.Info("sqllock: freed a dead holder's lock", "lock", row.Name, "holder", row.Holder,
		"fence", row.Fence, "expired for", expiry.ExpiredFor.String())
	return rowFree, nil
}

// clearRetried calls clear with retries until ctx ends.
func (c *core) clearRetried(ctx context.Context, row *dialect.Row) (rowState, error) {
	state, _, err := store.Retried(ctx, c.store.Store, func(ctx context.Context) (rowState, error) {
		return c.clear(ctx, row)
	})
	return state, err
}

// retry is Store.Retry for as long as the caller is there. When the caller's ctx has ended, a
// statement in flight may finish, but no other is begun. Otherwise callers that come and go would
// pile up work.
func (t *attempt) retry(ctx context.Context, op func(context.Context) error) (inDoubt bool, err error) {
	gone := false
	inDoubt, err = t.c.store.Retry(ctx, func(ctx context.Context) error {
		if gone = t.caller.Err() != nil; gone {
			return nil
		}
		return op(ctx)
	})
	switch {
	case gone:
		return inDoubt, gaveUp(t.caller, t.request.Name, nil)
	case err != nil:
		return inDoubt, t.c.store.failed(fmt.Sprintf("acquiring lock %q", t.request.Name), err)
	}
	return inDoubt, nil
}
