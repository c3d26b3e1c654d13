package postgres

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Enqueue puts each waiter at the end of the queue for its key: one statement each. An owner of more than 1000 bytes, or a
// channel of more than 63, is an error: a release couldn't send them.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.Place, error) {
		d.crowd.saw(w.Key)
		return enqueue(ctx, d.pool, w)
	})
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.Place, error) {
	places, err := query(ctx, s, func(rows *sql.Rows, p *dialect.Place) error { return rows.Scan(&p.Ticket, &p.First) }, sqlEnqueue,
		w.Name, int64(w.Slot), w.Owner, w.LeaseID, w.Note, engine.Micros(w.HoldAtLeast), engine.Micros(w.LockDelay), w.Channel,
		w.Holds)
	if err != nil || len(places) == 0 {
		return dialect.Place{}, err
	}
	return places[0], nil
}

// Dequeue takes each waiter out of its queue: one statement each. It waits for a release that is just handing it the lock.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each("dequeue", claims, func(c dialect.Claim) (bool, error) { return dequeue(ctx, d.pool, c) })
}

func dequeue(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlDequeue, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// Queue reads up to limit of those who wait for key and are alive, in the order of their tickets. It waits for nothing.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	queue, err := queue(ctx, d.pool, key, limit)
	return queue, fail("read the queue", err)
}

func queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, sqlQueue, key.Name, int64(key.Slot), int64(max(limit, 0)))
}

// Holding reads up to limit of those in all queues who hold something and are alive. It waits for nothing.
func (d *Dialect) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := holding(ctx, d.pool, after, limit)
	return waiting, fail("read who holds what", err)
}

func holding(ctx context.Context, s engine.Session, after int64, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, sqlHolding, after, int64(max(limit, 0)))
}

// Pass gives each lock that still names its claim's owner to the next acquisition: one statement each.
func (d *Dialect) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return each("pass", passes, func(p dialect.Pass) (dialect.Grant, error) { return pass(ctx, d.pool, p) })
}

func pass(ctx context.Context, s engine.Session, p dialect.Pass) (dialect.Grant, error) {
	next := p.Next
	fences, err := query(ctx, s, engine.One[int64], sqlPass, p.Name, int64(p.Slot), p.Owner,
		next.Owner, next.LeaseID, next.Note, engine.Micros(next.HoldAtLeast), engine.Micros(next.LockDelay))
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
