package sqllock

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// rounds bounds how often one attempt starts over because others changed the row between two of its statements.
const rounds = 3

// taking is one acquisition under way.
type taking struct {
	c       *Client
	lease   *lease
	request dialect.Request
	unsure  bool // a request's reply was lost: it may be carried out at any time yet
}

// take asks the database for the lock. The error is a *HeldError if somebody else has it.
func (c *Client) take(ctx context.Context, w wish, looking bool) (*Lock, error) {
	opCtx, cancel := c.operation(ctx, patience)
	defer cancel()
	l, err := c.lease(opCtx, w.ttl)
	if err != nil {
		return nil, err
	}
	t := &taking{c: c, lease: l, request: dialect.Request{
		Key:     dialect.Key{Name: w.name},
		LeaseID: l.id, Owner: rand.Text(), Note: w.note,
		HoldAtLeast: toMicros(w.holdAtLeast), LockDelay: toMicros(w.lockDelay),
	}}
	// A grant that arrives when the lease can't be relied on any more is none: no use in waiting for it.
	opCtx, cancelGrant := context.WithTimeout(opCtx, min(patience, l.left()))
	defer cancelGrant()
	grant, err := t.run(opCtx, looking)
	if err != nil {
		l.unuse()
		if t.unsure {
			c.settle(l, t.claim(), l.ttl)
		}
		return nil, err
	}
	return t.lock(ctx, grant)
}

func (t *taking) claim() dialect.Claim {
	return dialect.Claim{Key: t.request.Key, Owner: t.request.Owner}
}

// run takes the row if it is free. If not it looks at who holds it, and if that one is dead, frees the row and
// starts over. looking: a waiter knows that the row was held a moment ago, so it reads first and writes only when
// there is something to win.
func (t *taking) run(ctx context.Context, looking bool) (dialect.Grant, error) {
	var row dialect.Row
	for round := range rounds {
		if !looking || round > 0 {
			grant, err := t.ask(ctx)
			if err != nil || grant.Granted {
				return grant, err
			}
		}
		var free bool
		var err error
		if row, free, err = t.look(ctx); err != nil {
			return dialect.Grant{}, err
		}
		if !free {
			break
		}
	}
	return dialect.Grant{}, heldError(row, t.lease.id)
}

func (t *taking) ask(ctx context.Context) (grant dialect.Grant, err error) {
	unsure, err := t.c.retry(ctx, func(ctx context.Context) error {
		grants, err := t.c.dialect.Acquire(ctx, []dialect.Request{t.request})
		if err == nil {
			grant = grants[0]
		}
		return err
	})
	t.unsure = t.unsure || unsure
	return grant, t.wrap(err)
}

// look reads the row, clears it if its holder is dead, and tells whether it looks free now.
func (t *taking) look(ctx context.Context) (row dialect.Row, free bool, err error) {
	_, err = t.c.retry(ctx, func(ctx context.Context) error {
		rows, err := t.c.dialect.Look(ctx, []dialect.Key{t.request.Key})
		if err == nil {
			row = rows[0]
		}
		return err
	})
	switch {
	case err != nil:
		return row, false, t.wrap(err)
	case !row.Held:
		return row, row.FreeIn <= 0, nil
	case row.Owner == t.request.Owner: // an answer was lost, and it was yes: ask again
		return row, true, nil
	case row.Lease == dialect.LeaseLive:
		return row, false, nil
	}
	_, err = t.c.retry(ctx, func(ctx context.Context) error {
		free, err = t.c.exhume(ctx, &row)
		return err
	})
	return row, free, t.wrap(err)
}

// exhume buries the lease of a row that seemed dead, and frees the row. False: it was alive after all, which
// row then says, or a transaction that its holder guards is not over.
func (c *Client) exhume(ctx context.Context, row *dialect.Row) (bool, error) {
	burials, err := c.dialect.BuryLeases(ctx, []string{row.LeaseID})
	if err != nil {
		return false, err
	}
	if b := burials[0]; !b.Dead {
		row.Lease, row.Remaining = dialect.LeaseLive, b.Remaining
		return false, nil
	}
	freed, err := c.dialect.Free(ctx, []dialect.Orphan{{
		Key: row.Key, Fence: row.Fence, LeaseID: row.LeaseID, Overdue: burials[0].Overdue,
	}})
	if err != nil {
		return false, err
	}
	if freed[0] {
		c.log.Info("sqllock: took a lock from a dead holder", "lock", row.Name, "holder", row.Holder,
			"fence", row.Fence, "overdue", burials[0].Overdue)
	}
	return freed[0], nil
}

// lock makes the grant the caller's, if it came in time.
func (t *taking) lock(ctx context.Context, grant dialect.Grant) (*Lock, error) {
	lock := &Lock{
		c: t.c, lease: t.lease, claim: t.claim(), fence: grant.Fence,
		delayed: t.request.LockDelay > 0, unsure: t.unsure,
	}
	lock.ctx, lock.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if !t.lease.hold(lock) {
		lock.cancel(context.Canceled)
		t.lease.unuse()
		t.c.settle(t.lease, lock.claim, t.lease.ttl)
		return nil, fmt.Errorf("sqllock: %w: %q: the database granted it too late, when the lease of %s had run out",
			ErrNotAcquired, lock.claim.Name, t.lease.ttl)
	}
	return lock, nil
}

func (t *taking) wrap(err error) error {
	if err == nil {
		return nil
	}
	return t.c.failed(fmt.Sprintf("acquiring lock %q", t.request.Name), err)
}

// settle releases the claim in the background, again and again until it is certain: for what was granted to
// nobody, and for a request without an answer, which the server may carry out late. It stops when the claim was
// released, when it has been a stranger's for as long as late, or when the lease is over, and with it the claim.
func (c *Client) settle(l *lease, claim dialect.Claim, late time.Duration) {
	started := now()
	c.spawn(func() {
		for pause := firstPause; ; pause = min(2*pause, maxPause) {
			ctx, cancel := c.operation(context.Background(), patience)
			ours, err := c.dialect.Release(ctx, []dialect.Claim{claim})
			cancel()
			if err == nil && ours[0] {
				c.freed(claim.Name)
				return
			}
			if err == nil && now().since(started) >= late || l.left() <= 0 || !nap(c.open, jitter(pause)) {
				return
			}
		}
	})
}
