package sqlserver

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Enqueue puts each waiter at the end of its queue. Each costs one round trip and one commit. It
// waits only for another Enqueue of the same waiter.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.QueuePosition, error) {
		return enqueue(ctx, d.pool, w)
	})
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.QueuePosition, error) {
	if err := texts.CheckWaiter(w); err != nil {
		return dialect.QueuePosition{}, err
	}
	positions, err := query(ctx, s, func(rows dialect.Rows, p *dialect.QueuePosition) error {
		return rows.Scan(&p.Ticket, &p.First)
	},
		sqlEnqueue, text(w.Name), w.Slot, text(w.Owner), text(w.LeaseID), text(w.Note), text(w.Holds))
	if isDuplicate(err) || err == nil && len(positions) == 0 {
		err = engine.ErrBusy // inserted or removed by another statement at this moment
	}
	if err != nil {
		return dialect.QueuePosition{}, err
	}
	return positions[0], nil
}

// Dequeue removes each waiter from its queue. It uses one statement for each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each("dequeue", claims, func(c dialect.Claim) (bool, error) { return own(ctx, d.pool, sqlDequeue, c) })
}

// Queue returns up to limit waiters for key under a live lease, in the order of the queue. It waits
// for nothing.
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

// ListWaiters returns up to limit waiters of all queues that hold nothing, under a live lease. It
// waits for nothing.
func (d *Dialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("list the waiters", err)
	}
	waiting, err := query(ctx, d.pool, engine.ScanWaiting, r.listWaiters, after, max(limit, 0))
	return waiting, fail("list the waiters", err)
}

// WaitingHolders returns up to limit waiters of all queues that hold something under a live lease.
// It waits for nothing.
func (d *Dialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("read the waiting holders", err)
	}
	waiting, err := waitingHolders(ctx, d.pool, r, after, limit)
	return waiting, fail("read the waiting holders", err)
}

func waitingHolders(ctx context.Context, s engine.Session, r reads, after int64, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, r.waitingHolders, after, max(limit, 0))
}

// Transfer gives each lock that its claim's owner still holds to the next acquisition, unless
// another process waits for it. Each costs one round trip and one commit. It waits behind a Guard
// of the same lock until that transaction or ctx ends.
func (d *Dialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return each("transfer", transfers, func(p dialect.Transfer) (dialect.Grant, error) {
		return transfer(ctx, d.pool, p)
	})
}

func transfer(ctx context.Context, s engine.Session, p dialect.Transfer) (dialect.Grant, error) {
	c, r := p.Claim, p.Next
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	fences, err := query(ctx, s, engine.One[int64], sqlTransfer, text(c.Name), c.Slot, text(c.Owner), text(r.Owner),
		text(r.LeaseID), text(r.Note), engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// PurgeWaiters deletes up to limit waiters whose lease is dead, and skips those that others have
// locked.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeWaiters, int64(limit))
	return n, fail("purge waiters", err)
}
