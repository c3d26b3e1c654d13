package sqlite

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Enqueue puts each waiter at the end of its queue: one statement each. Tickets are microseconds since 1970, or one more
// than the last.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return eachInTurn(ctx, d.line, "enqueue", waiters, func(w dialect.Waiter) (dialect.Place, error) {
		return d.enqueue(ctx, d.pool, w)
	})
}

func (d *Dialect) enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (place dialect.Place, err error) {
	_, err = engine.Query(ctx, s, func(rows *sql.Rows, _ *struct{}) error {
		return rows.Scan(&place.Ticket, &place.First)
	}, d.sql.enqueue, w.Name, w.Slot, w.LeaseID, w.Owner, w.Note, w.Holds)
	return place, err
}

// Dequeue takes each waiter out of its queue: one statement each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return eachInTurn(ctx, d.line, "dequeue", claims, func(c dialect.Claim) (bool, error) {
		return d.claim(ctx, d.pool, d.sql.dequeue, c)
	})
}

// Queue reads up to limit of those who wait for key under a living lease, the first first.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	waiting, err := d.queue(ctx, d.pool, key, limit)
	return waiting, fail("read the queue", err)
}

func (d *Dialect) queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, d.sql.queue, key.Name, key.Slot, max(limit, 0))
}

// Holding reads up to limit of those in all queues who hold something, under a living lease.
func (d *Dialect) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := d.holding(ctx, d.pool, after, limit)
	return waiting, fail("read who holds what", err)
}

func (d *Dialect) holding(ctx context.Context, s engine.Session, after int64, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, d.sql.holding, after, max(limit, 0))
}

// Pass gives each lock that is still its claim's owner's to the next acquisition, unless somebody else waits for it: one
// statement each.
func (d *Dialect) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return eachInTurn(ctx, d.line, "pass", passes, func(p dialect.Pass) (dialect.Grant, error) { return d.pass(ctx, d.pool, p) })
}

func (d *Dialect) pass(ctx context.Context, s engine.Session, p dialect.Pass) (dialect.Grant, error) {
	fences, err := engine.Query(ctx, s, engine.One[int64], d.sql.pass, p.Claim.Name, p.Claim.Slot, p.Claim.Owner,
		p.Next.LeaseID, p.Next.Owner, p.Next.Note, engine.Micros(p.Next.HoldAtLeast), engine.Micros(p.Next.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// PurgeWaiters deletes up to limit waiters whose lease is dead.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	n, err := inTurn(ctx, d.line, func() (int, error) { return engine.Exec(ctx, d.pool, d.sql.purgeWaiters, max(limit, 0)) })
	return n, fail("purge waiters", err)
}
