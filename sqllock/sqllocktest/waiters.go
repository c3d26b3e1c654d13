package sqllocktest

import (
	"context"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// waiter is a row of the queues; all of them are in the order of their tickets.
type waiter struct {
	dialect.Waiter
	ticket int64
	since  time.Time
}

// Enqueue implements dialect.Waiters.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return each(ctx, d, OpEnqueue, waiters, func(now time.Time, w dialect.Waiter) dialect.Place {
		at := slices.IndexFunc(d.waiters, func(other *waiter) bool { return other.Owner == w.Owner })
		if at < 0 {
			at = len(d.waiters)
			d.tickets++
			d.waiters = append(d.waiters, &waiter{Waiter: w, ticket: d.tickets, since: now})
		}
		before := func(other *waiter) bool { return other.Key == w.Key && d.alive(now, other.LeaseID) }
		return dialect.Place{Ticket: d.waiters[at].ticket, First: !slices.ContainsFunc(d.waiters[:at], before)}
	})
}

// Dequeue implements dialect.Waiters.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpDequeue, claims, func(_ time.Time, c dialect.Claim) bool {
		before := len(d.waiters)
		d.waiters = slices.DeleteFunc(d.waiters, func(w *waiter) bool { return w.Key == c.Key && w.Owner == c.Owner })
		return len(d.waiters) < before
	})
}

// Queue implements dialect.Waiters.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return d.waiting(ctx, OpQueue, limit, func(w *waiter) bool { return w.Key == key })
}

// Holding implements dialect.Waiters.
func (d *Dialect) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return d.waiting(ctx, OpHolding, limit, func(w *waiter) bool { return w.Holds != "" && w.ticket > after })
}

// waiting reads those who live and are wanted.
func (d *Dialect) waiting(ctx context.Context, op Op, limit int, wanted func(*waiter) bool) ([]dialect.Waiting, error) {
	var found []dialect.Waiting
	err := d.do(ctx, op, func(now time.Time) {
		for _, w := range d.waiters {
			if len(found) < limit && wanted(w) && d.alive(now, w.LeaseID) {
				found = append(found, dialect.Waiting{
					Key: w.Key, Ticket: w.ticket, Owner: w.Owner, LeaseID: w.LeaseID,
					Holder: d.leases[w.LeaseID].holder, Note: w.Note, Since: w.since.Round(0).UTC(), Holds: w.Holds,
				})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Pass implements dialect.Waiters.
func (d *Dialect) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return each(ctx, d, OpPass, passes, func(now time.Time, p dialect.Pass) dialect.Grant {
		stranger := func(w *waiter) bool {
			return w.Key == p.Claim.Key && w.LeaseID != p.Next.LeaseID && d.alive(now, w.LeaseID)
		}
		if !d.owns(p.Claim) || d.locks[p.Claim.Key].free.After(now) || slices.ContainsFunc(d.waiters, stranger) {
			return dialect.Grant{}
		}
		return d.locks[p.Claim.Key].give(now, p.Next)
	})
}

// PurgeWaiters implements dialect.Waiters.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	purged := 0
	err := d.do(ctx, OpPurgeWaiters, func(now time.Time) {
		d.waiters = slices.DeleteFunc(d.waiters, func(w *waiter) bool {
			dead := purged < limit && !d.alive(now, w.LeaseID)
			if dead {
				purged++
			}
			return dead
		})
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}

// alive tells whether a lease is there and hasn't run out. The caller holds mu.
func (d *Dialect) alive(now time.Time, id string) bool {
	l, ok := d.leases[id]
	return ok && l.expires.After(now)
}
