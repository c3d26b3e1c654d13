package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Reaped counts what the reaper removed.
type Reaped struct {
	Leases int // leases that had expired
	Locks  int // locks of dead holders that were freed
	Purged int // rows of locks that had been free for long

	Waiters  int // queue entries of dead waiters
	Outcomes int // outcomes of once.Do and once.DoTx whose time to be kept was over
}

// reapChunk is the number of rows that one statement deletes. Short transactions don't block others
// for long.
const reapChunk = 500

// Reap deletes the leases that have expired and frees their locks. It also deletes the rows of
// locks that have been free for longer than [Options].PurgeAfter, the queue entries of dead
// waiters, and outcomes whose time to be kept is over. Every process may call it at any time, and
// the [Client] calls it in the background every [Options].ReapEvery; correctness never depends on
// it. It goes on until nothing is left or ctx ends, and returns what it did even if it fails.
func (c *Client) Reap(ctx context.Context) (Reaped, error) {
	var r Reaped
	if err := c.ownTx(ctx, "reaping", ""); err != nil {
		return r, err
	}
	begun := clock.Now()
	if err := c.expiry.ExpireOverlong(ctx, reapChunk); err != nil {
		return r, c.failed("reaping leases", err)
	}
	for rows, err := range c.pages(ctx, true) {
		if err != nil {
			return r, c.failed("reaping locks", err)
		}
		if err := c.reapPage(ctx, rows, &r); err != nil {
			return r, c.failed("reaping locks", err)
		}
	}
	for _, chunk := range []struct {
		count  *int
		delete func() (int, error)
	}{
		// Leases that expired after begun may still have locks that are not freed, and LockDelay
		// counts from their end.
		{&r.Leases, func() (int, error) { return c.store.DeleteExpired(ctx, clock.Now().Since(begun), reapChunk) }},
		{&r.Waiters, func() (int, error) { return c.store.PurgeWaiters(ctx, reapChunk) }},
		{&r.Outcomes, func() (int, error) { return c.store.PurgeOutcomes(ctx, reapChunk) }},
		{&r.Purged, func() (int, error) { return c.store.Purge(ctx, request.ToMicros(c.opts.PurgeAfter), reapChunk) }},
	} {
		for n := reapChunk; n == reapChunk; *chunk.count += n {
			var err error
			if n, err = chunk.delete(); err != nil {
				return r, c.failed("reaping", err)
			}
		}
	}
	return r, nil
}

// reapPage frees the rows whose holders are dead. It does not rely on what List returned:
// ExpireLeases decides.
func (c *Client) reapPage(ctx context.Context, rows []dialect.Row, r *Reaped) error {
	seen := make(map[string]bool)
	var leases []string
	for _, row := range rows {
		if row.Lease != dialect.LeaseLive && !seen[row.LeaseID] {
			seen[row.LeaseID] = true
			leases = append(leases, row.LeaseID)
		}
	}
	expiries, err := c.store.ExpireLeases(ctx, leases)
	if err != nil {
		return err
	}
	dead := make(map[string]dialect.Expiry)
	for i, e := range expiries {
		if e.Dead {
			dead[leases[i]] = e
		}
	}
	var holders []dialect.DeadHolder
	for _, row := range rows {
		if e, ok := dead[row.LeaseID]; ok {
			holders = append(holders, dialect.DeadHolder{
				Key: row.Key, Fence: row.Fence, LeaseID: row.LeaseID, ExpiredFor: e.ExpiredFor,
			})
		}
	}
	freed, err := c.store.Free(ctx, holders)
	for _, ok := range freed {
		if ok {
			r.Locks++
		}
	}
	return err
}

// reapForever runs the reaper in the background.
func (c *Client) reapForever() {
	for store.Sleep(c.store.Open(), c.opts.ReapEvery-c.opts.ReapEvery/10+store.Jitter(c.opts.ReapEvery/10)) {
		ctx, cancel := context.WithTimeout(c.store.Open(), max(c.opts.ReapEvery, store.OperationTimeout))
		r, err := c.Reap(ctx)
		cancel()
		switch {
		case err != nil && c.store.Open().Err() == nil:
			c.log.Warn("sqllock: the reaper failed; it will try again", "err", err)
		case r != Reaped{}:
			c.log.Info("sqllock: reaped", "leases", r.Leases, "locks", r.Locks, "purged", r.Purged,
				"waiters", r.Waiters, "outcomes", r.Outcomes)
		}
	}
}
