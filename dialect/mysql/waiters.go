package mysql

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Enqueue puts each waiter at the end of its queue, with one statement for each, and then checks
// with another whether a live waiter is before it. In a cluster whose members all take writes, a
// waiter that this member hasn't received yet may have a lower or a higher ticket.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.QueuePosition, error) {
		return enqueue(ctx, d.pool, w)
	})
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.QueuePosition, error) {
	ticket, err := takeTicket(ctx, s, w)
	if err != nil {
		return dialect.QueuePosition{}, err
	}
	ahead, err := exists(ctx, s, sqlSeeAhead, w.Name, w.Slot, ticket)
	return dialect.QueuePosition{Ticket: ticket, First: err == nil && !ahead}, err
}

func takeTicket(ctx context.Context, s engine.Session, w dialect.Waiter) (int64, error) {
	if err := texts.CheckWaiter(w); err != nil {
		return 0, err
	}
	result, err := engine.ExecResult(ctx, s, sqlEnqueue, w.Name, w.Slot, w.LeaseID, w.Owner, w.Note, w.Holds)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// Dequeue removes each waiter from its queue. It uses one statement for each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each("dequeue", claims, func(c dialect.Claim) (bool, error) { return dequeue(ctx, d.pool, c) })
}

func dequeue(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlDequeue, c.Owner, c.Name, c.Slot)
	return n == 1, err
}

// Queue returns up to limit waiters for key under a live lease, in the order of the queue. It waits
// for nothing. Behind a read/write splitter the rows may be a replica's, and so older.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	waiting, err := queue(ctx, d.pool, key, limit)
	return waiting, fail("read the queue", err)
}

func queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, sqlQueue, key.Name, key.Slot, max(limit, 0))
}

// ListWaiters returns up to limit waiters of all queues that hold nothing, under a live lease. It
// waits for nothing. Behind a read/write splitter the rows may be a replica's, and so older.
func (d *Dialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := engine.Query(ctx, d.pool, engine.ScanWaiting, sqlListWaiters, after, max(limit, 0))
	return waiting, fail("list the waiters", err)
}

// WaitingHolders returns up to limit waiters of all queues that hold something under a live lease.
// It waits for nothing. Behind a read/write splitter the rows may be a replica's, and so older.
func (d *Dialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := waitingHolders(ctx, d.pool, after, limit)
	return waiting, fail("read the waiting holders", err)
}

func waitingHolders(ctx context.Context, s engine.Session, after int64, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, sqlWaitingHolders, after, max(limit, 0))
}

// Transfer gives each lock that its claim's owner still holds to the next acquisition, unless
// another process waits for it. One statement reads the queue, and another one decides and commits.
// A waiter that arrives between the two is passed over once.
//
// It waits behind a Guard of the same lock until that transaction ends, ctx ends, or
// innodb_lock_wait_timeout has passed (Transient). On TiDB, where its clock would stand still
// meanwhile, it waits for nothing, and the error is Transient at once.
func (d *Dialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	if len(transfers) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("transfer", err)
	}
	return each("transfer", transfers, func(p dialect.Transfer) (dialect.Grant, error) {
		return transfer(ctx, d.pool, f, p)
	})
}

func transfer(ctx context.Context, s engine.Session, f flavour, p dialect.Transfer) (dialect.Grant, error) {
	r := p.Next
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	others, err := exists(ctx, s, sqlSeeOthers, p.Claim.Name, p.Claim.Slot, r.LeaseID)
	if err != nil || others {
		return dialect.Grant{}, err
	}
	set := []any{r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)}
	which := []any{p.Claim.Name, p.Claim.Slot, p.Claim.Owner}
	if f.product == tidb {
		return granted(choice{maria: sqlTransfer, row: lockRow}.ifUnlocked(ctx, s, f, which, slices.Concat(set, which)))
	}
	return granted(engine.ExecResult(ctx, s, sqlTransfer, slices.Concat(set, which)...))
}

// exists reports whether the query finds a row.
func exists(ctx context.Context, s engine.Session, text string, args ...any) (bool, error) {
	found, err := engine.Query(ctx, s, engine.One[int], text, args...)
	return len(found) > 0, err
}

// PurgeWaiters deletes up to limit waiters whose lease is dead, and skips those that others have
// locked. One statement finds them, and one more deletes each.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	return d.deleteChunk(ctx, "purge waiters", sqlDeadWaiters, nil, limit, purgeWaiter)
}

func purgeWaiter(ctx context.Context, s engine.Session, f flavour, owner string) (int, error) {
	return engine.Affected(sqlPurgeWaiter.run(ctx, s, f, []any{owner}))
}
