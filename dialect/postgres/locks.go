package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Acquire takes each lock that is free: one statement, one round trip and one commit for all of them, and for a single
// one that isn't free one more round trip, to make its row if there is none. It waits for
// nothing but another statement that is just making the same rows or, a single request, changing the same one.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) > 1 {
		grants, err := acquireMany(ctx, d.pool, requests)
		return grants, fail("acquire", err)
	}
	return each("acquire", requests, func(r dialect.Request) (dialect.Grant, error) { return acquire(ctx, d.pool, r) })
}

func acquire(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	for _, text := range []string{sqlAcquire, sqlMakeLock} {
		fences, err := query(ctx, s, engine.One[int64], text, r.Name, int64(r.Slot), r.Owner, r.LeaseID, r.Note,
			engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
		if err != nil {
			return dialect.Grant{}, err
		}
		if len(fences) > 0 {
			return dialect.Grant{Granted: true, Fence: fences[0]}, nil
		}
	}
	return dialect.Grant{}, nil
}

// Release frees each lock that still names its claim's owner, or hands it to who waits for it: one statement, one round
// trip and one commit for all. A single claim waits behind a Guard of the same lock, until that transaction ends or ctx
// does; where somebody can be told for the first time, or the lock is another's, it takes a second round trip, and still at
// most one commit that changes anything.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) > 1 {
		ours, err := d.releaseMany(ctx, claims)
		return ours, fail("release", err)
	}
	return each("release", claims, func(c dialect.Claim) (bool, error) { return d.release(ctx, c) })
}

// release hands over first what was waited for lately.
func (d *Dialect) release(ctx context.Context, c dialect.Claim) (bool, error) {
	if !d.crowd.has(c.Key) {
		freed, err := release(ctx, d.pool, c)
		if freed {
			d.released(ctx, c, false)
		}
		if freed || err != nil {
			return freed, err
		}
	}
	ours, handed, err := handOver(ctx, d.pool, c)
	if ours {
		d.released(ctx, c, handed)
	}
	return ours, err
}

// released looks once more for somebody who waits, where that is likely: the release couldn't see one who took his place
// while it was on its way, and he could see no release. An error leaves him to his polls.
func (d *Dialect) released(ctx context.Context, c dialect.Claim, handed bool) {
	if !handed && d.crowd.has(c.Key) {
		handed, _ = handFree(ctx, d.pool, c)
	}
	if handed {
		d.crowd.saw(c.Key)
	}
}

// release frees the lock, unless there is somebody who can be told.
func release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlRelease, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// handOver gives the lock to who waits for it, or frees it.
func handOver(ctx context.Context, s engine.Session, c dialect.Claim) (ours, handed bool, err error) {
	told, err := query(ctx, s, engine.One[sql.NullString], sqlHandOver, c.Name, int64(c.Slot), c.Owner)
	if err != nil || len(told) == 0 {
		return false, false, err
	}
	return true, told[0].Valid, nil
}

// handFree gives a lock that is free to who waits for it, and hasn't just released it.
func handFree(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	told, err := query(ctx, s, engine.One[sql.NullString], sqlHandFree, c.Name, int64(c.Slot), c.Owner)
	return len(told) > 0, err
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

// Raise raises the fence of each lock that still names its claim's owner: one statement each. It waits behind a Guard of
// the same lock, until that transaction ends or ctx does.
func (d *Dialect) Raise(ctx context.Context, raises []dialect.Raise) ([]bool, error) {
	return each("raise", raises, func(r dialect.Raise) (bool, error) { return raise(ctx, d.pool, r) })
}

func raise(ctx context.Context, s engine.Session, r dialect.Raise) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	n, err := exec(ctx, s, sqlRaise, r.Name, int64(r.Slot), r.Owner, r.Fence)
	return n == 1, err
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
