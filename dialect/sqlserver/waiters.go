package sqlserver

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Enqueue puts each waiter at the end of its queue: one round trip and one commit each. It waits for nobody but who is
// just putting the same waiter there.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.Place, error) { return enqueue(ctx, d.pool, w) })
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.Place, error) {
	if err := texts.CheckWaiter(w); err != nil {
		return dialect.Place{}, err
	}
	places, err := query(ctx, s, func(rows *sql.Rows, p *dialect.Place) error { return rows.Scan(&p.Ticket, &p.First) },
		sqlEnqueue, text(w.Name), w.Slot, text(w.Owner), text(w.LeaseID), text(w.Note), text(w.Holds))
	if isDuplicate(err) || err == nil && len(places) == 0 {
		err = engine.ErrBusy // put there, or taken out, by another at this moment
	}
	if err != nil {
		return dialect.Place{}, err
	}
	return places[0], nil
}

// Dequeue takes each waiter out of its queue: one statement each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each("dequeue", claims, func(c dialect.Claim) (bool, error) { return own(ctx, d.pool, sqlDequeue, c) })
}

// Queue reads up to limit of those who wait for key under a living lease, the first first. It waits for nothing.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("read the queue", err)
	}
	waiting, err := queue(ctx, d.pool, r, key, limit)
	return waiting, fail("read the queue", err)
}

func queue(ctx context.Context, s engine.Session, r reads, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, r.queue, text(key.Name), key.Slot, max(limit, 0))
}

// Holding reads up to limit of those in all queues who hold something, under a living lease. It waits for nothing.
func (d *Dialect) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("read who holds what", err)
	}
	waiting, err := holding(ctx, d.pool, r, after, limit)
	return waiting, fail("read who holds what", err)
}

func holding(ctx context.Context, s engine.Session, r reads, after int64, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, r.holding, after, max(limit, 0))
}

// Pass gives each lock that is still its claim's owner's to the next acquisition, unless somebody else waits for it: one
// round trip and one commit each. It waits behind a Guard of the same lock, until that transaction ends or ctx does.
func (d *Dialect) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return each("pass", passes, func(p dialect.Pass) (dialect.Grant, error) { return pass(ctx, d.pool, p) })
}

func pass(ctx context.Context, s engine.Session, p dialect.Pass) (dialect.Grant, error) {
	c, r := p.Claim, p.Next
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	fences, err := query(ctx, s, engine.One[int64], sqlPass, text(c.Name), c.Slot, text(c.Owner), text(r.Owner),
		text(r.LeaseID), text(r.Note), engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// PurgeWaiters deletes up to limit waiters whose lease is dead, and waits for none that others are at.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeWaiters, int64(limit))
	return n, fail("purge waiters", err)
}
