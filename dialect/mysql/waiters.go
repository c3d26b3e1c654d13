package mysql

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Enqueue puts each waiter at the end of its queue, one statement each, and then looks who is before it, one more. In a
// cluster whose members all take writes, one whom this member hasn't heard of yet may have the lower ticket or the higher.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.Place, error) {
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.Place, error) { return enqueue(ctx, d.pool, w) })
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.Place, error) {
	ticket, err := takeTicket(ctx, s, w)
	if err != nil {
		return dialect.Place{}, err
	}
	ahead, err := exists(ctx, s, sqlSeeAhead, w.Name, w.Slot, ticket)
	return dialect.Place{Ticket: ticket, First: err == nil && !ahead}, err
}

func takeTicket(ctx context.Context, s engine.Session, w dialect.Waiter) (int64, error) {
	if err := texts.CheckWaiter(w); err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, sqlEnqueue, w.Name, w.Slot, w.LeaseID, w.Owner, w.Note, w.Holds)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// Dequeue takes each waiter out of its queue: one statement each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each("dequeue", claims, func(c dialect.Claim) (bool, error) { return dequeue(ctx, d.pool, c) })
}

func dequeue(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlDequeue, c.Owner, c.Name, c.Slot)
	return n == 1, err
}

// Queue reads up to limit of those who wait for key under a living lease, the first first. It waits for nothing. Behind a
// read/write splitter the picture may be a replica's, and so older.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	waiting, err := queue(ctx, d.pool, key, limit)
	return waiting, fail("read the queue", err)
}

func queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, sqlQueue, key.Name, key.Slot, max(limit, 0))
}

// Holding reads up to limit of those in all queues who hold something, under a living lease. It waits for nothing. Behind a
// read/write splitter the picture may be a replica's, and so older.
func (d *Dialect) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := holding(ctx, d.pool, after, limit)
	return waiting, fail("read who holds what", err)
}

func holding(ctx context.Context, s engine.Session, after int64, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, sqlHolding, after, max(limit, 0))
}

// Pass gives each lock that is still its claim's owner's to the next acquisition, unless somebody else waits for it: one
// statement that looks at the queue, and one that decides and commits. Who comes between the two is passed over once.
func (d *Dialect) Pass(ctx context.Context, passes []dialect.Pass) ([]dialect.Grant, error) {
	return each("pass", passes, func(p dialect.Pass) (dialect.Grant, error) { return pass(ctx, d.pool, p) })
}

func pass(ctx context.Context, s engine.Session, p dialect.Pass) (dialect.Grant, error) {
	r := p.Next
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	others, err := exists(ctx, s, sqlSeeOthers, p.Claim.Name, p.Claim.Slot, r.LeaseID)
	if err != nil || others {
		return dialect.Grant{}, err
	}
	return granted(s.ExecContext(ctx, sqlPass, r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast),
		engine.Micros(r.LockDelay), p.Claim.Name, p.Claim.Slot, p.Claim.Owner))
}

// exists asks whether there is such a row.
func exists(ctx context.Context, s engine.Session, text string, args ...any) (bool, error) {
	found, err := engine.Query(ctx, s, engine.One[int], text, args...)
	return len(found) > 0, err
}

// PurgeWaiters deletes up to limit waiters whose lease is dead, and waits for none that others are at. One statement finds
// them, and then one each deletes them.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	return d.sweep(ctx, "purge waiters", sqlDeadWaiters, limit, purgeWaiter)
}

func purgeWaiter(ctx context.Context, s engine.Session, f flavour, owner string) (int, error) {
	return engine.Affected(sqlPurgeWaiter.run(ctx, s, f, []any{owner}))
}
