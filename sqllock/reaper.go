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
	Breaks   int // records of broken locks that were 90 days old (Client.Breaks)
}

// reapChunk is the number of rows that one statement deletes. Short transactions don't block others
// for long.
const reapChunk = 500

// Reap deletes the leases that have expired and frees their locks. It also deletes the rows of
// locks that have been free for longer than [Options].PurgeAfter, the queue entries of dead
// waiters, outcomes whose time to be kept is over, and records of broken locks after 90 days
// ([Client.Breaks]). Every process may call it at any time, and
// the [Client] calls it in the background every [Options].ReapEvery; correctness never depends on
// it. It goes on until nothing is left or ctx ends, and returns what it did even if it fails.
func (c *Client) Reap(ctx context.Context) (Reaped, error) { return reaper{c.core}.run(ctx) }

// reaper removes what has expired.
type reaper struct{ *core }

// run implements Reap.
func (r reaper) run(ctx context.Context) (did Reaped, err error) {
	if err := r.store.ownTx(ctx, "reaping", ""); err != nil {
		return did, err
	}
	defer func() { r.counts.addReaped(did) }()
	begun := clock.Now()
	if err := r.expiry.ExpireOverlong(ctx, reapChunk); err != nil {
		return did, r.store.failed("reaping leases", err)
	}
	l := lister(r)
	for rows, err := range l.pages(ctx, true) {
		if err != nil {
			return did, r.store.failed("reaping locks", err)
		}
		if err := r.page(ctx, rows, &did); err != nil {
			return did, r.store.failed("reaping locks", err)
		}
	}
	for _, chunk := range []struct {
		count  *int
		delete func() (int, error)
	}{
		// Leases that expired after begun may still have locks that are not freed, and LockDelay
		// counts from their end.
		{&did.Leases, func() (int, error) { return r.store.DeleteExpired(ctx, clock.Now().Since(begun), reapChunk) }},
		{&did.Waiters, func() (int, error) { return r.store.PurgeWaiters(ctx, reapChunk) }},
		{&did.Outcomes, func() (int, error) { return r.store.PurgeOutcomes(ctx, reapChunk) }},
		{&did.Breaks, func() (int, error) { return r.store.PurgeBreaks(ctx, keepBreaks, reapChunk) }},
		{&did.Purged, func() (int, error) {
			return r.store.Purge(ctx, request.ToMicros(r.opts.PurgeAfter), reapChunk)
		}},
	} {
		for n := reapChunk; n == reapChunk; *chunk.count += n {
			if n, err = chunk.delete(); err != nil {
				return did, r.store.failed("reaping", err)
			}
		}
	}
	return did, nil
}

// page frees the rows whose holders are dead. It does not rely on what List returned:
// ExpireLeases decides.
func (r reaper) page(ctx context.Context, rows []dialect.Row, did *Reaped) error {
	seen := make(map[string]bool)
	var leases []string
	for _, row := range rows {
		if row.Lease != dialect.LeaseLive && !seen[row.LeaseID] {
			seen[row.LeaseID] = true
			leases = append(leases, row.LeaseID)
		}
	}
	expiries, err := r.store.ExpireLeases(ctx, leases)
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
	freed, err := r.store.Free(ctx, holders)
	for _, ok := range freed {
		if ok {
			did.Locks++
		}
	}
	return err
}

// runForever runs the reaper in the background.
func (r reaper) runForever() {
	for store.Sleep(r.store.Open(), r.opts.ReapEvery-r.opts.ReapEvery/10+store.Jitter(r.opts.ReapEvery/10)) {
		ctx, cancel := context.WithTimeout(r.store.Open(), max(r.opts.ReapEvery, store.OperationTimeout))
		did, err := r.run(ctx)
		cancel()
		switch {
		case err != nil && r.store.Open().Err() == nil:
			r.log.Warn("sqllock: the reaper failed; it will try again", "err", err)
		case did != Reaped{}:
			r.log.Info("sqllock: reaped", "leases", did.Leases, "locks", did.Locks, "purged", did.Purged,
				"waiters", did.Waiters, "outcomes", did.Outcomes, "breaks", did.Breaks)
		}
	}
}
