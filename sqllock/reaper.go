package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// Reaped counts what the reaper cleared away.
type Reaped struct {
	Leases int // that had run out
	Locks  int // freed, whose holders were dead
	Purged int // rows of locks that had been free for long

	Waiters  int // in queues, that were dead
	Outcomes int // of Once and OnceTx, that were kept no longer
}

// reapChunk is how many rows one statement deletes: short transactions don't stand in anybody's way.
const reapChunk = 500

// Reap buries the leases that have run out, frees their locks, and deletes the rows of locks that have been free
// for longer than Options.PurgeAfter, of waiters that are dead, and of outcomes that are kept no longer. Every process may run
// it at any time; correctness never waits for it. It goes on until nothing is left or ctx ends, and counts what it did even if
// it fails.
func (c *Client) Reap(ctx context.Context) (Reaped, error) {
	var r Reaped
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
		{&r.Leases, func() (int, error) { return c.dialect.BuryExpired(ctx, reapChunk) }},
		{&r.Waiters, func() (int, error) { return c.dialect.PurgeWaiters(ctx, reapChunk) }},
		{&r.Outcomes, func() (int, error) { return c.dialect.PurgeOutcomes(ctx, reapChunk) }},
		{&r.Purged, func() (int, error) { return c.dialect.Purge(ctx, toMicros(c.opts.PurgeAfter), reapChunk) }},
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

// reapPage frees those of the rows whose holders are dead. What List saw is not believed: BuryLeases decides.
func (c *Client) reapPage(ctx context.Context, rows []dialect.Row, r *Reaped) error {
	seen := make(map[string]bool)
	var leases []string
	for _, row := range rows {
		if row.Lease != dialect.LeaseLive && !seen[row.LeaseID] {
			seen[row.LeaseID] = true
			leases = append(leases, row.LeaseID)
		}
	}
	burials, err := c.dialect.BuryLeases(ctx, leases)
	if err != nil {
		return err
	}
	dead := make(map[string]dialect.Burial)
	for i, b := range burials {
		if b.Dead {
			dead[leases[i]] = b
		}
		if b.Dead && b.Overdue > 0 { // buried by us, not found buried
			r.Leases++
		}
	}
	var orphans []dialect.Orphan
	for _, row := range rows {
		if b, ok := dead[row.LeaseID]; ok {
			orphans = append(orphans, dialect.Orphan{
				Key: row.Key, Fence: row.Fence, LeaseID: row.LeaseID, Overdue: b.Overdue,
			})
		}
	}
	freed, err := c.dialect.Free(ctx, orphans)
	for _, ok := range freed {
		if ok {
			r.Locks++
		}
	}
	return err
}

// reapForever is the reaper in the background.
func (c *Client) reapForever() {
	for nap(c.open, c.opts.ReapEvery-c.opts.ReapEvery/10+jitter(c.opts.ReapEvery/10)) {
		ctx, cancel := context.WithTimeout(c.open, max(c.opts.ReapEvery, patience))
		r, err := c.Reap(ctx)
		cancel()
		switch {
		case err != nil && c.open.Err() == nil:
			c.log.Warn("sqllock: the reaper failed; it will try again", "err", err)
		case r != Reaped{}:
			c.log.Info("sqllock: reaped", "leases", r.Leases, "locks", r.Locks, "purged", r.Purged,
				"waiters", r.Waiters, "outcomes", r.Outcomes)
		}
	}
}
