package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Acquire takes each lock whose row is free, missing, or already the owner's: one statement and one commit for all.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if canAcquireTogether(requests) {
		grants, err := inTurn(ctx, d.line, func() ([]dialect.Grant, error) { return d.acquireMany(ctx, d.pool, requests) })
		return grants, fail("acquire", err)
	}
	return eachInTurn(ctx, d.line, "acquire", requests, func(r dialect.Request) (dialect.Grant, error) { return d.acquire(ctx, d.pool, r) })
}

func (d *Dialect) acquire(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	fences, err := engine.Query(ctx, s, engine.One[int64], d.sql.acquire,
		r.Name, r.Slot, r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// Release frees each lock that still names the claim's owner: one statement and one commit for all.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if canReleaseTogether(claims) {
		ours, err := inTurn(ctx, d.line, func() ([]bool, error) { return d.releaseMany(ctx, d.pool, claims) })
		return ours, fail("release", err)
	}
	return eachInTurn(ctx, d.line, "release", claims, func(c dialect.Claim) (bool, error) { return d.claim(ctx, d.pool, d.sql.release, c) })
}

// Guard writes each row that still names the claim's owner, unchanged, in the caller's transaction: SQLite's one
// write lock is then the caller's until that ends, and nobody can free or release the lock. In a transaction that has
// read before, while others have written since, the error is Transient and the transaction has to be done again:
// _txlock=immediate, which Open sets, avoids that.
func (d *Dialect) Guard(ctx context.Context, tx *sql.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the *sql.Tx is nil", dialect.ErrInvalid))
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return d.claim(ctx, tx, d.sql.guard, c) })
}

// Raise raises the fence of each lock that still names its claim's owner: one statement each.
func (d *Dialect) Raise(ctx context.Context, raises []dialect.Raise) ([]bool, error) {
	return eachInTurn(ctx, d.line, "raise", raises, func(r dialect.Raise) (bool, error) { return d.raise(ctx, d.pool, r) })
}

func (d *Dialect) raise(ctx context.Context, s engine.Session, r dialect.Raise) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	n, err := engine.Exec(ctx, s, d.sql.raise, r.Name, r.Slot, r.Owner, r.Fence)
	return n == 1, err
}

// claim runs a statement that touches the row if it is still the owner's.
func (d *Dialect) claim(ctx context.Context, s engine.Session, text string, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, text, c.Name, c.Slot, c.Owner)
	return n == 1, err
}

// Free frees each lock that still has the orphan's fence and dead lease: one statement each. Behind a guarded
// transaction it waits like every write, and then fails as Transient.
func (d *Dialect) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	return eachInTurn(ctx, d.line, "free", orphans, func(o dialect.Orphan) (bool, error) { return d.free(ctx, d.pool, o) })
}

func (d *Dialect) free(ctx context.Context, s engine.Session, o dialect.Orphan) (bool, error) {
	n, err := engine.Exec(ctx, s, d.sql.free, o.Name, o.Slot, o.Fence, o.LeaseID, o.Overdue.Microseconds())
	return n == 1, err
}

// Purge deletes up to limit lock rows that have been free for longer than idle.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	n, err := inTurn(ctx, d.line, func() (int, error) {
		return engine.Exec(ctx, d.pool, d.sql.purge, engine.Micros(idle), max(limit, 0))
	})
	return n, fail("purge", err)
}
