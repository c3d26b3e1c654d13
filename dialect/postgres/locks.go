package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Acquire takes each lock that is free: one statement, one round trip and one commit for all of them. It waits for
// nothing but another statement that is just making the same rows or, a single request, changing the same one.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) > 1 {
		grants, err := acquireMany(ctx, d.pool, requests)
		return grants, fail("acquire", err)
	}
	return each("acquire", requests, func(r dialect.Request) (dialect.Grant, error) { return acquire(ctx, d.pool, r) })
}

func acquire(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	fences, err := query(ctx, s, engine.One[int64], sqlAcquire, r.Name, int64(r.Slot), r.Owner, r.LeaseID, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// Release frees each lock that still names its claim's owner: one statement, one round trip and one commit for all. A
// single claim waits behind a Guard of the same lock, until that transaction ends or ctx does.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) > 1 {
		ours, err := releaseMany(ctx, d.pool, claims)
		return ours, fail("release", err)
	}
	return each("release", claims, func(c dialect.Claim) (bool, error) { return release(ctx, d.pool, c) })
}

func release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlRelease, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// Guard share-locks each row that still names its claim's owner until tx ends. Guards of one lock don't block each
// other. Where tx is REPEATABLE READ or SERIALIZABLE and its snapshot is older than the lock's acquisition, the answer
// is false, or the error 40001, and the transaction has to be run again: acquire first, then begin.
//
// Where the row changes hands at that very moment under READ COMMITTED, the server may keep the row locked for tx
// although the answer is false: its new holder's release then waits until tx ends, so roll back soon.
func (d *Dialect) Guard(ctx context.Context, tx *sql.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fmt.Errorf("postgres: guard: %w: the *sql.Tx is nil; pass the transaction that the lock protects",
			dialect.ErrInvalid)
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return guard(ctx, tx, c) })
}

func guard(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	found, err := query(ctx, s, engine.One[int], sqlGuard, c.Name, int64(c.Slot), c.Owner)
	return len(found) == 1, err
}

// Free frees each lock that is still as the orphan was seen: one statement each. It waits for nobody: a row that is
// guarded, or that another is just changing, is false.
func (d *Dialect) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	return each("free", orphans, func(o dialect.Orphan) (bool, error) { return free(ctx, d.pool, o) })
}

func free(ctx context.Context, s engine.Session, o dialect.Orphan) (bool, error) {
	// Overdue is rounded down, since what it takes away is a delay that somebody asked for.
	n, err := exec(ctx, s, sqlFree, o.Name, int64(o.Slot), o.Fence, o.LeaseID, o.Overdue.Microseconds())
	return n == 1, err
}
