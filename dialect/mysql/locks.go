package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Acquire takes each lock that is free. One lock on a free row costs one statement, one round trip
// and one commit. Several together also cost one statement and one commit, and on MySQL a second
// round trip to learn which were taken. Acquire waits only for another statement that is taking,
// releasing or freeing the same lock, or inserting the same rows.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("acquire", err)
	}
	singleRowOnly := func(r dialect.Request) (dialect.Grant, error) { return acquire(ctx, d.pool, f, r) }
	if len(requests) == 1 {
		return each("acquire", requests, singleRowOnly)
	}
	grants, err := inBatches(requests, func(r dialect.Request) dialect.Key { return r.Key },
		func(several []dialect.Request) ([]dialect.Grant, error) {
			if f.product == tidb {
				return oneByOne(several, func(r dialect.Request) (dialect.Grant, error) {
					return acquireNow(ctx, d.pool, f, r)
				})
			}
			return acquireMany(ctx, d.pool, f, several)
		}, singleRowOnly)
	return grants, fail("acquire", err)
}

func acquire(ctx context.Context, s engine.Session, f flavour, r dialect.Request) (dialect.Grant, error) {
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	return attempt(ctx, s, f, r).Run()
}

// acquireNow is acquire for a lock of a batch, which waits for no row.
func acquireNow(ctx context.Context, s engine.Session, f flavour, r dialect.Request) (dialect.Grant, error) {
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	now := attempt(ctx, s, f, r)
	now.Await = nil
	return now.Run()
}

func attempt(ctx context.Context, s engine.Session, f flavour, r dialect.Request) engine.Attempt {
	return engine.Attempt{
		Take:   func() (dialect.Grant, error) { return take(ctx, s, f, r) },
		See:    func() ([]bool, error) { return seeLock(ctx, s, r) },
		Insert: func() (dialect.Grant, error) { return insertLock(ctx, s, r) },
		Await: func() error {
			_, err := engine.Query(ctx, s, engine.One[int], sqlAwaitLock, r.Name, r.Slot)
			return err
		},
	}
}

// take takes a lock whose row exists, is free, and isn't locked.
func take(ctx context.Context, s engine.Session, f flavour, r dialect.Request) (dialect.Grant, error) {
	run := func(s engine.Session) (sql.Result, error) {
		return sqlAcquire.run(ctx, s, f, []any{r.Name, r.Slot, r.Owner},
			r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	}
	if f.product == tidb {
		return granted(f.together(ctx, s, func(s engine.Session) (sql.Result, error) {
			takeable, err := seeLock(ctx, s, r)
			if err != nil || len(takeable) == 0 || !takeable[0] {
				return driver.RowsAffected(0), err // so that no lock of the row disturbs its holder
			}
			return run(s)
		}))
	}
	return granted(run(s))
}

// seeLock reports whether the row could be taken, without locking it. There is no element if there
// is no row.
func seeLock(ctx context.Context, s engine.Session, r dialect.Request) ([]bool, error) {
	return engine.Query(ctx, s, engine.One[bool], sqlSeeLock, r.Owner, r.Name, r.Slot)
}

// insertLock inserts the row of a name that was never taken. The lock is not granted if another
// client was faster.
func insertLock(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	grant, err := granted(engine.ExecResult(ctx, s, sqlInsertLock,
		r.Name, r.Slot, r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)))
	if number(err) == erDuplicateEntry {
		return dialect.Grant{}, nil
	}
	return grant, err
}

// granted reads the fence from the reply, where it takes the place of the insert id.
func granted(result sql.Result, err error) (dialect.Grant, error) {
	if err != nil {
		return dialect.Grant{}, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return dialect.Grant{}, err
	}
	fence, err := result.LastInsertId()
	return dialect.Grant{Granted: err == nil, Fence: fence}, err
}

// Release frees each lock that still names its claim's owner. One lock costs one statement, one
// round trip and one commit. Several together cost the same, and on MySQL another round trip first.
// A single claim waits behind a Guard of the same lock until that transaction ends, ctx ends, or
// innodb_lock_wait_timeout has passed (Transient).
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	singleRowOnly := func(c dialect.Claim) (bool, error) { return release(ctx, d.pool, c) }
	if len(claims) <= 1 {
		return each("release", claims, singleRowOnly)
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("release", err)
	}
	ours, err := inBatches(claims, func(c dialect.Claim) dialect.Key { return c.Key },
		func(several []dialect.Claim) ([]bool, error) {
			if f.product == tidb {
				return oneByOne(several, func(c dialect.Claim) (bool, error) {
					n, err := engine.Affected(sqlReleaseUnguarded.run(ctx, d.pool, f, []any{c.Name, c.Slot, c.Owner}))
					return n == 1, err
				})
			}
			return releaseMany(ctx, d.pool, f, several)
		}, singleRowOnly)
	return ours, fail("release", err)
}

func release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlRelease, c.Name, c.Slot, c.Owner)
	return n == 1, err
}

// Guard share-locks each row that still names its claim's owner until tx ends. Guards of one lock
// don't block each other. Guard sees what was committed last, also under REPEATABLE READ. MariaDB
// with innodb_snapshot_isolation (the default from 11.6.2) keeps to the snapshot all the same, and
// returns error 1020 if the lock was acquired after tx began to read: acquire first, then begin.
//
// In a cluster whose members all take writes, a member doesn't see another's locks, only its
// writes, and these at the commit. There Guard writes the row and writes it back. So of a guarded
// transaction and a takeover on another member, one fails at its commit, with 1213. Guards of one
// lock then wait for each other, as they do on TiDB, which has no share locks.
//
// Roll tx back if the result is false or an error. Above READ COMMITTED, InnoDB keeps a row locked
// that it has examined, and so keeps the release of its new holder waiting. A deadlock, 1213, has
// already rolled tx back: its class, Transient, applies to the guard alone.
func (d *Dialect) Guard(ctx context.Context, tx dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the transaction is nil; pass the transaction that the lock protects",
			dialect.ErrInvalid))
	}
	if len(claims) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx) // known since the lock was acquired
	if err != nil {
		return nil, fail("guard", err)
	}
	in := f.on(tx)
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return guard(ctx, in, f, c) })
}

func guard(ctx context.Context, s engine.Session, f flavour, c dialect.Claim) (bool, error) {
	if f.cluster != "" {
		n, err := engine.Exec(ctx, s, sqlGuardCluster, c.Name, c.Slot, c.Owner)
		if err == nil && n == 1 {
			// restores the row
			n, err = engine.Exec(ctx, s, sqlGuardCluster, c.Name, c.Slot, c.Owner)
		}
		return err == nil && n == 1, err
	}
	found, err := engine.Query(ctx, s, engine.One[int], sqlGuard, c.Name, c.Slot, c.Owner)
	return len(found) == 1, err
}

// Free frees each lock that is unchanged since the dead holder was read. It uses one statement for
// each. It waits for nothing: the result is false for a row that is guarded or being changed.
func (d *Dialect) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	if len(dead) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("free", err)
	}
	return each("free", dead, func(h dialect.DeadHolder) (bool, error) { return free(ctx, d.pool, f, h) })
}

func free(ctx context.Context, s engine.Session, f flavour, h dialect.DeadHolder) (bool, error) {
	// ExpiredFor is rounded down, since it shortens a delay that the holder requested.
	expiredFor := h.ExpiredFor.Microseconds()
	n, err := engine.Affected(sqlFree.run(ctx, s, f, []any{h.Name, h.Slot, h.Fence, h.LeaseID}, expiredFor, expiredFor,
		expiredFor, expiredFor))
	return n == 1, err
}

// number returns the server's error number, or 0 if err isn't the server's.
func number(err error) uint16 {
	if serverErr, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return serverErr.Number
	}
	return 0
}

// AdvanceFence raises the fence of each lock that still names its claim's owner. It uses one
// statement for each. It waits behind a Guard of the same lock until that transaction ends, ctx
// ends, or innodb_lock_wait_timeout has passed (Transient).
func (d *Dialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	return each("advance fence", advances, func(r dialect.FenceAdvance) (bool, error) {
		return advanceFence(ctx, d.pool, r)
	})
}

func advanceFence(ctx context.Context, s engine.Session, r dialect.FenceAdvance) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	result, err := engine.ExecResult(ctx, s, sqlAdvanceFence, r.Fence, r.Name, r.Slot, r.Owner)
	if err != nil {
		return false, err
	}
	fence, err := result.LastInsertId()
	return fence != 0, err
}

// EndBars ends the bar of each lock that is free and unchanged since it was read. It uses one
// statement for each.
func (d *Dialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return each("end bar", bars, func(b dialect.Bar) (bool, error) { return endBar(ctx, d.pool, b) })
}

func endBar(ctx context.Context, s engine.Session, b dialect.Bar) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlEndBar, b.Name, b.Slot, b.Fence)
	return n == 1, err
}
