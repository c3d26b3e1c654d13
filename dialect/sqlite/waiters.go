package sqlite

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Enqueue puts each waiter at the end of its queue. It uses one statement for each. A ticket is the
// time in microseconds since 1970, or one more than the last ticket.
func (d *Dialect) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	return eachWrite(ctx, d, "enqueue", waiters,
		func(s engine.Session, w dialect.Waiter) (dialect.QueuePosition, error) {
			return d.enqueue(ctx, s, w)
		})
}

func (d *Dialect) enqueue(
	ctx context.Context, s engine.Session, w dialect.Waiter,
) (position dialect.QueuePosition, err error) {
	_, err = engine.Query(ctx, s, func(rows dialect.Rows, _ *struct{}) error {
		return rows.Scan(&position.Ticket, &position.First)
	}, d.sql.enqueue, w.Name, w.Slot, w.LeaseID, w.Owner, w.Note, w.Holds)
	return position, err
}

// Dequeue removes each waiter from its queue. It uses one statement for each.
func (d *Dialect) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return eachWrite(ctx, d, "dequeue", claims, func(s engine.Session, c dialect.Claim) (bool, error) {
		return d.claim(ctx, s, d.sql.dequeue, c)
	})
}

// Queue returns up to limit waiters for key under a live lease, in the order of the queue.
func (d *Dialect) Queue(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	waiting, err := whenFree(ctx, d.file(), func() ([]dialect.Waiting, error) {
		return d.queue(ctx, d.pool, key, limit)
	})
	return waiting, fail("read the queue", err)
}

func (d *Dialect) queue(ctx context.Context, s engine.Session, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, d.sql.queue, key.Name, key.Slot, max(limit, 0))
}

// ListWaiters returns up to limit waiters of all queues that hold nothing, under a live lease.
func (d *Dialect) ListWaiters(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := whenFree(ctx, d.file(), func() ([]dialect.Waiting, error) {
		return engine.Query(ctx, d.pool, engine.ScanWaiting, d.sql.listWaiters, after, max(limit, 0))
	})
	return waiting, fail("list the waiters", err)
}

// WaitingHolders returns up to limit waiters of all queues that hold something under a live lease.
func (d *Dialect) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	waiting, err := whenFree(ctx, d.file(), func() ([]dialect.Waiting, error) {
		return d.waitingHolders(ctx, d.pool, after, limit)
	})
	return waiting, fail("read the waiting holders", err)
}

func (d *Dialect) waitingHolders(
	ctx context.Context, s engine.Session, after int64, limit int,
) ([]dialect.Waiting, error) {
	return engine.Query(ctx, s, engine.ScanWaiting, d.sql.waitingHolders, after, max(limit, 0))
}

// Transfer gives each lock that its claim's owner still holds to the next acquisition, unless
// another process waits for it. It uses one statement for each.
func (d *Dialect) Transfer(ctx context.Context, transfers []dialect.Transfer) ([]dialect.Grant, error) {
	return eachWrite(ctx, d, "transfer", transfers, func(s engine.Session, p dialect.Transfer) (dialect.Grant, error) {
		return d.transfer(ctx, s, p)
	})
}

func (d *Dialect) transfer(ctx context.Context, s engine.Session, p dialect.Transfer) (dialect.Grant, error) {
	fences, err := engine.Query(ctx, s, engine.One[int64], d.sql.transfer, p.Claim.Name, p.Claim.Slot, p.Claim.Owner,
		p.Next.LeaseID, p.Next.Owner, p.Next.Note, engine.Micros(p.Next.HoldAtLeast), engine.Micros(p.Next.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// PurgeWaiters deletes up to limit waiters whose lease is dead.
func (d *Dialect) PurgeWaiters(ctx context.Context, limit int) (int, error) {
	n, err := write(ctx, d, func(s engine.Session) (int, error) {
		return engine.Exec(ctx, s, d.sql.purgeWaiters, max(limit, 0))
	})
	return n, fail("purge waiters", err)
}
