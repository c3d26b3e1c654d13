package sqllocktest

import (
	"context"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// waiter is a row of the queues. All rows are in the order of their tickets.
type waiter struct {
	dialect.Waiter
	ticket int64
	since  time.Time
}

// Enqueue implements [dialect.Waiters].
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return each(ctx, d, OpEnqueue, waiters, func(now time.Time, w dialect.Waiter) dialect.QueuePosition {
		at := slices.IndexFunc(d.waiters, func(other *waiter) bool { return other.Owner == w.Owner })
		if at < 0 {
			at = len(d.waiters)
			d.tickets++
			d.waiters = append(d.waiters, &waiter{Waiter: w, ticket: d.tickets, since: now})
		}
		before := func(other *waiter) bool { return other.Key == w.Key && d.alive(now, other.LeaseID) }
		return dialect.QueuePosition{Ticket: d.waiters[at].ticket, First: !slices.ContainsFunc(d.waiters[:at], before)}
	})
}

// Dequeue implements [dialect.Waiters].
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpDequeue, claims, func(_ time.Time, c dialect.Claim) bool {
		before := len(d.waiters)
		d.waiters = slices.DeleteFunc(d.waiters, func(w *waiter) bool { return w.Key == c.Key && w.Owner == c.Owner })
		return len(d.waiters) < before
	})
}

// Queue implements [dialect.Waiters].
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return d.waiting(ctx, OpQueue, limit, func(w *waiter) bool { return w.Key == key })
}

// ListWaiters implements [dialect.Waiters].
func (d *Dialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return d.waiting(ctx, OpListWaiters, limit, func(w *waiter) bool { return w.Holds == "" && w.ticket > after })
}

// WaitingHolders implements [dialect.Waiters].
func (d *Dialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	return d.waiting(ctx, OpWaitingHolders, limit, func(w *waiter) bool { return w.Holds != "" && w.ticket > after })
}

// waiting reads the live waiters that wanted accepts.
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

// Transfer implements [dialect.Waiters].
func (d *Dialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return each(ctx, d, OpTransfer, transfers, func(now time.Time, t dialect.Transfer) dialect.Grant {
		stranger := func(w *waiter) bool {
			return w.Key == t.Claim.Key && w.LeaseID != t.Next.LeaseID && d.alive(now, w.LeaseID)
		}
		if !d.owns(t.Claim) || d.locks[t.Claim.Key].free.After(now) || slices.ContainsFunc(d.waiters, stranger) {
			return dialect.Grant{}
		}
		return d.locks[t.Claim.Key].assign(now, t.Next)
	})
}

// PurgeWaiters implements [dialect.Waiters].
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

// alive reports whether a lease exists and has not expired. The caller holds mu.
func (d *Dialect) alive(now time.Time, id string) bool {
	l, ok := d.leases[id]
	return ok && l.expires.After(now)
}
