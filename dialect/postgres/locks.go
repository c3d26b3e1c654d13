package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Acquire takes each lock that is free. It runs one statement with one commit for all requests.
//
// A single request for a lock that isn't free needs a second round trip, which makes the lock's row
// if there is none. Acquire waits only for another statement that is inserting the same rows or,
// with a single request, for one that is changing the same row.
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

// Release frees each lock that still names its claim's owner, or hands it to the next waiter. It
// runs one statement with one commit for all claims.
//
// A single claim waits behind a [Dialect.Guard] of the same lock, until that transaction ends or
// ctx does. It needs a second round trip the first time that a waiter can be notified, or if the
// lock is another owner's. Even then at most one commit changes anything.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if len(claims) > 1 {
		ours, err := d.releaseMany(ctx, claims)
		return ours, fail("release", err)
	}
	return each("release", claims, func(c dialect.Claim) (bool, error) { return d.release(ctx, c) })
}

// release tries the hand-over first if the lock had waiters recently.
func (d *Dialect) release(ctx context.Context, c dialect.Claim) (bool, error) {
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return false, err
	}
	if f.plain {
		return releasePlain(ctx, d.pool, c)
	}
	if !d.recentWaiters.has(c.Key) {
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

// released looks for a waiter once more if one is likely. The release couldn't see a waiter that
// enqueued while the release was in flight, and that waiter couldn't see the release. If there is
// an error, the waiter finds the free lock by polling.
func (d *Dialect) released(ctx context.Context, c dialect.Claim, handed bool) {
	if !handed && d.recentWaiters.has(c.Key) {
		handed, _ = handFree(ctx, d.pool, c)
	}
	if handed {
		d.recentWaiters.saw(c.Key)
	}
}

// release frees the lock, unless there is a waiter that can be notified.
func release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlRelease, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// release frees the lock. The native flavour frees it only if no waiter can be notified.
func (f *flavour) release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	if f.plain {
		return releasePlain(ctx, s, c)
	}
	return release(ctx, s, c)
}

// releasePlain frees the lock, even if it has waiters.
func releasePlain(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, sqlReleasePlain, c.Name, int64(c.Slot), c.Owner)
	return n == 1, err
}

// handOver gives the lock to the next waiter, or frees it. The plain flavour always frees it.
func (f *flavour) handOver(ctx context.Context, s engine.Session, c dialect.Claim) (ours, handed bool, err error) {
	if f.plain {
		ours, err = releasePlain(ctx, s, c)
		return ours, false, err
	}
	return handOver(ctx, s, c)
}

// handOver gives the lock to the next waiter, or frees it.
func handOver(ctx context.Context, s engine.Session, c dialect.Claim) (ours, handed bool, err error) {
	notified, err := query(ctx, s, engine.One[sql.NullString], sqlHandOver, c.Name, int64(c.Slot), c.Owner)
	if err != nil || len(notified) == 0 {
		return false, false, err
	}
	return true, notified[0].Valid, nil
}

// handFree gives a free lock to the next waiter, except to the owner that has just released it.
func handFree(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	notified, err := query(ctx, s, engine.One[sql.NullString], sqlHandFree, c.Name, int64(c.Slot), c.Owner)
	return len(notified) > 0, err
}

// Guard share-locks each row that still names its claim's owner until tx ends. Guards of one lock
// don't block each other. The plain flavour updates the row instead: a second guard of the same
// lock waits for the first one's transaction, and fails with 40001 above READ COMMITTED if that
// transaction commits.
//
// If tx is REPEATABLE READ or SERIALIZABLE and its snapshot is older than the lock's acquisition,
// the result is false or the error 40001, and the transaction has to be run again. So acquire the
// lock first, then begin.
//
// If the row changes hands at that very moment under READ COMMITTED, the server may keep the row
// locked for tx although the result is false. The new holder's release then waits until tx ends, so
// roll back soon.
func (d *Dialect) Guard(ctx context.Context, tx dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fmt.Errorf("postgres: guard: %w: the transaction is nil; "+
			"pass the transaction that the lock protects", dialect.ErrInvalid)
	}
	if len(claims) == 0 {
		return nil, nil
	}
	s := d.pool.in(ctx, tx)
	f, err := d.flavour(ctx, s)
	if err != nil {
		return nil, fail("guard", err)
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return f.guardLock(ctx, s, c) })
}

func (f *flavour) guardLock(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	found, err := query(ctx, s, engine.One[int], f.guard, c.Name, int64(c.Slot), c.Owner)
	return len(found) == 1, err
}

// AdvanceFence raises the fence of each lock that still names its claim's owner. It runs one
// statement for each. It waits behind a [Dialect.Guard] of the same lock, until that transaction
// ends or ctx does.
func (d *Dialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	return each("advance fence", advances, func(a dialect.FenceAdvance) (bool, error) {
		return advanceFence(ctx, d.pool, a)
	})
}

func advanceFence(ctx context.Context, s engine.Session, a dialect.FenceAdvance) (bool, error) {
	if err := a.Check(); err != nil {
		return false, err
	}
	n, err := exec(ctx, s, sqlAdvanceFence, a.Name, int64(a.Slot), a.Owner, a.Fence)
	return n == 1, err
}

// Free frees each lock whose row still names the dead holder as it was read. It runs one statement
// for each and waits for nothing: the result is false for a row that is guarded, or that another
// transaction is just changing.
func (d *Dialect) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	return each("free", dead, func(h dialect.DeadHolder) (bool, error) { return free(ctx, d.pool, h) })
}

func free(ctx context.Context, s engine.Session, h dialect.DeadHolder) (bool, error) {
	// ExpiredFor is rounded down, because it shortens the LockDelay that the holder asked for.
	n, err := exec(ctx, s, sqlFree, h.Name, int64(h.Slot), h.Fence, h.LeaseID, h.ExpiredFor.Microseconds())
	return n == 1, err
}

// EndBars ends the bar of each lock that is free and whose row is as it was read. It runs one
// statement for each.
func (d *Dialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return each("end bar", bars, func(b dialect.Bar) (bool, error) { return endBar(ctx, d.pool, b) })
}

func endBar(ctx context.Context, s engine.Session, b dialect.Bar) (bool, error) {
	n, err := exec(ctx, s, sqlEndBar, b.Name, int64(b.Slot), b.Fence)
	return n == 1, err
}
