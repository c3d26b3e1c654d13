package postgres

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Enqueue puts each waiter at the end of its key's queue. It runs one statement for all if their
// keys and owners differ. An owner of more than 1000 bytes, or a channel of more than 63, is an
// error, because a release couldn't notify it.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	for _, w := range waiters {
		d.recentWaiters.saw(w.Key)
	}
	if len(waiters) > 1 && differ(waiters) {
		positions, err := enqueueMany(ctx, d.pool, waiters)
		return positions, fail("enqueue", err)
	}
	return each("enqueue", waiters, func(w dialect.Waiter) (dialect.QueuePosition, error) {
		return enqueue(ctx, d.pool, w)
	})
}

// differ reports whether no two of the waiters share a key or an owner.
func differ(waiters []dialect.Waiter) bool {
	keys, owners := make(map[dialect.Key]bool, len(waiters)), make(map[string]bool, len(waiters))
	for _, w := range waiters {
		keys[w.Key], owners[w.Owner] = true, true
	}
	return len(keys) == len(waiters) && len(owners) == len(waiters)
}

func enqueue(ctx context.Context, s engine.Session, w dialect.Waiter) (dialect.QueuePosition, error) {
	scan := func(rows dialect.Rows, p *dialect.QueuePosition) error { return rows.Scan(&p.Ticket, &p.First) }
	positions, err := query(ctx, s, scan, sqlEnqueue, w.Name, int64(w.Slot), w.Owner, w.LeaseID, w.Note,
		engine.Micros(w.HoldAtLeast), engine.Micros(w.LockDelay), w.Channel, w.Holds)
	if err != nil || len(positions) == 0 {
		return dialect.QueuePosition{}, err
	}
	return positions[0], nil
}

// Dequeue removes each waiter from its queue. It runs one statement for all, and one more for each
// that the first didn't find. That one waits for a release that is just handing the lock to the
// waiter. The plain flavour runs one statement for each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return nil, fail("dequeue", err)
	}
	found := make([]bool, len(claims))
	if len(claims) > 1 && !f.plain {
		if found, err = dequeueMany(ctx, d.pool, claims); err != nil {
			return nil, fail("dequeue", err)
		}
	}
	for i := range claims {
		if found[i] {
			continue
		}
		if found[i], err = dequeue(ctx, d.pool, claims[i]); err != nil {
			return nil, fail("dequeue", err)
		}
	}
	return found, nil
}

func dequeue(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlDequeue, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// Queue returns up to limit of the waiters for key whose lease is alive, in the order of their
// tickets. It waits for nothing.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	queue, err := queue(ctx, d.pool, key, limit)
	return queue, fail("read the queue", err)
}

func queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, sqlQueue, key.Name, int64(key.Slot), int64(max(limit, 0)))
}

// ListWaiters returns up to limit of the waiters of all queues that hold nothing and whose lease is
// alive, with tickets greater than after. It waits for nothing.
func (d *Dialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := query(ctx, d.pool, engine.ScanWaiting, sqlListWaiters, after, int64(max(limit, 0)))
	return waiting, fail("list the waiters", err)
}

// WaitingHolders returns up to limit of the waiters of all queues that hold something and whose
// lease is alive, with tickets greater than after. It waits for nothing.
func (d *Dialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := waitingHolders(ctx, d.pool, after, limit)
	return waiting, fail("read the waiting holders", err)
}

func waitingHolders(ctx context.Context, s engine.Session, after int64, limit int) ([]dialect.Waiting, error) {
	return query(ctx, s, engine.ScanWaiting, sqlWaitingHolders, after, int64(max(limit, 0)))
}

// Transfer gives each lock that still names its claim's owner to the next request. It runs one
// statement for each.
func (d *Dialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return each("transfer", transfers, func(t dialect.Transfer) (dialect.Grant, error) {
		return transfer(ctx, d.pool, t)
	})
}

func transfer(ctx context.Context, s engine.Session, t dialect.Transfer) (dialect.Grant, error) {
	next := t.Next
	fences, err := query(ctx, s, engine.One[int64], sqlTransfer, t.Name, int64(t.Slot), t.Owner,
		next.Owner, next.LeaseID, next.Note, engine.Micros(next.HoldAtLeast), engine.Micros(next.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// PurgeWaiters deletes up to limit waiters whose lease is dead, and returns how many. It skips rows
// that other transactions have locked.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeWaiters, int64(limit))
	return n, fail("purge waiters", err)
}
