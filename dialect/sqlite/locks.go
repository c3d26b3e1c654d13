package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Acquire takes each lock whose row is free, missing, or already the owner's. It uses one statement
// and one commit for all.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if canAcquireMany(requests) {
		grants, err := write(ctx, d, func(s engine.Session) ([]dialect.Grant, error) {
			return d.acquireMany(ctx, s, requests)
		})
		return grants, fail("acquire", err)
	}
	return eachWrite(ctx, d, "acquire", requests, func(s engine.Session, r dialect.Request) (dialect.Grant, error) {
		return d.acquire(ctx, s, r)
	})
}

func (d *Dialect) acquire(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	fences, err := engine.Query(ctx, s, engine.One[int64], d.sql.acquire,
		r.Name, r.Slot, r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// Release frees each lock that still names the claim's owner. It uses one statement and one commit
// for all.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if canReleaseMany(claims) {
		ours, err := write(ctx, d, func(s engine.Session) ([]bool, error) { return d.releaseMany(ctx, s, claims) })
		return ours, fail("release", err)
	}
	return eachWrite(ctx, d, "release", claims, func(s engine.Session, c dialect.Claim) (bool, error) {
		return d.claim(ctx, s, d.sql.release, c)
	})
}

// Guard writes each row that still names the claim's owner, unchanged, in the caller's transaction.
// The transaction then has SQLite's one write lock until it ends, and nothing can free or release
// the lock. If the transaction has read before, and others have written since, the error is
// Transient and the transaction has to be repeated. _txlock=immediate, which [Open] sets, avoids
// that.
func (d *Dialect) Guard(ctx context.Context, tx dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the transaction is nil", dialect.ErrInvalid))
	}
	return eachRead(ctx, d, "guard", claims, func(c dialect.Claim) (bool, error) {
		return d.claim(ctx, tx, d.sql.guard, c)
	})
}

// AdvanceFence raises the fence of each lock that still names its claim's owner. It uses one
// statement for each.
func (d *Dialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	return eachWrite(ctx, d, "advance fence", advances, func(s engine.Session, r dialect.FenceAdvance) (bool, error) {
		return d.advanceFence(ctx, s, r)
	})
}

func (d *Dialect) advanceFence(ctx context.Context, s engine.Session, r dialect.FenceAdvance) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	n, err := engine.Exec(ctx, s, d.sql.advanceFence, r.Name, r.Slot, r.Owner, r.Fence)
	return n == 1, err
}

// claim runs a statement that changes the row if it is still the owner's.
func (d *Dialect) claim(ctx context.Context, s engine.Session, text string, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, text, c.Name, c.Slot, c.Owner)
	return n == 1, err
}

// Free frees each lock that still has the dead holder's fence and lease. It uses one statement for
// each. Like every write it waits for a guarded transaction.
func (d *Dialect) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	return eachWrite(ctx, d, "free", dead, func(s engine.Session, h dialect.DeadHolder) (bool, error) {
		return d.free(ctx, s, h)
	})
}

func (d *Dialect) free(ctx context.Context, s engine.Session, h dialect.DeadHolder) (bool, error) {
	n, err := engine.Exec(ctx, s, d.sql.free, h.Name, h.Slot, h.Fence, h.LeaseID, h.ExpiredFor.Microseconds())
	return n == 1, err
}

// EndBars ends the bar of each lock that is free and unchanged since it was read.
func (d *Dialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return eachWrite(ctx, d, "end bar", bars, func(s engine.Session, b dialect.Bar) (bool, error) {
		return d.endBar(ctx, s, b)
	})
}

func (d *Dialect) endBar(ctx context.Context, s engine.Session, b dialect.Bar) (bool, error) {
	n, err := engine.Exec(ctx, s, d.sql.endBar, b.Name, b.Slot, b.Fence)
	return n == 1, err
}

// Purge deletes up to limit lock rows that have been free for longer than idle.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	n, err := write(ctx, d, func(s engine.Session) (int, error) {
		return engine.Exec(ctx, s, d.sql.purge, engine.Micros(idle), max(limit, 0))
	})
	return n, fail("purge", err)
}
