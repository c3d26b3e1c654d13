package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Acquire takes each lock that is free: on a row that is free one statement, one round trip and one commit; several
// together in one statement and one commit too, and on MySQL a second round trip to learn which. It waits for nothing but
// another statement that is just taking, releasing or freeing the same lock, or making the same rows.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("acquire", err)
	}
	alone := func(r dialect.Request) (dialect.Grant, error) { return acquire(ctx, d.pool, f, r) }
	if len(requests) == 1 {
		return each("acquire", requests, alone)
	}
	grants, err := inBatches(requests, func(r dialect.Request) dialect.Key { return r.Key },
		func(several []dialect.Request) ([]dialect.Grant, error) { return acquireMany(ctx, d.pool, f, several) }, alone)
	return grants, fail("acquire", err)
}

func acquire(ctx context.Context, s engine.Session, f flavour, r dialect.Request) (dialect.Grant, error) {
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	return engine.Taking{
		Take: func() (dialect.Grant, error) { return take(ctx, s, f, r) },
		See: func() ([]bool, error) {
			return engine.Query(ctx, s, engine.One[bool], sqlSeeLock, r.Owner, r.Name, r.Slot)
		},
		Insert: func() (dialect.Grant, error) { return insertLock(ctx, s, r) },
		Settle: func() error {
			_, err := engine.Query(ctx, s, engine.One[int], sqlSettleLock, r.Name, r.Slot)
			return err
		},
	}.Run()
}

// take takes a row that is there, free, and locked by nobody.
func take(ctx context.Context, s engine.Session, f flavour, r dialect.Request) (dialect.Grant, error) {
	return granted(sqlAcquire.run(ctx, s, f, []any{r.Name, r.Slot, r.Owner},
		r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)))
}

// insertLock makes the row of a name that was never taken. Not granted: somebody was faster.
func insertLock(ctx context.Context, s engine.Session, r dialect.Request) (dialect.Grant, error) {
	grant, err := granted(s.ExecContext(ctx, sqlInsertLock,
		r.Name, r.Slot, r.LeaseID, r.Owner, r.Note, engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay)))
	if number(err) == erDuplicateEntry {
		return dialect.Grant{}, nil
	}
	return grant, err
}

// granted reads the fence from the reply, where it stands in the insert id's place.
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

// Release frees each lock that still names its claim's owner: one statement, one round trip and one commit; of several
// together too, but on MySQL another round trip first. A single claim waits behind a Guard of the same lock, until that
// transaction ends, or ctx does, or innodb_lock_wait_timeout has passed (Transient).
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	alone := func(c dialect.Claim) (bool, error) { return release(ctx, d.pool, c) }
	if len(claims) <= 1 {
		return each("release", claims, alone)
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("release", err)
	}
	ours, err := inBatches(claims, func(c dialect.Claim) dialect.Key { return c.Key },
		func(several []dialect.Claim) ([]bool, error) { return releaseMany(ctx, d.pool, f, several) }, alone)
	return ours, fail("release", err)
}

func release(ctx context.Context, s engine.Session, c dialect.Claim) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlRelease, c.Name, c.Slot, c.Owner)
	return n == 1, err
}

// Guard share-locks each row that still names its claim's owner until tx ends. Guards of one lock don't block each
// other. It sees what was committed last, also under REPEATABLE READ. Where MariaDB keeps to the snapshot in spite of
// that (innodb_snapshot_isolation, the default from 11.6.2) it answers error 1020 if the lock was acquired after tx
// began to read: acquire first, then begin.
//
// In a cluster whose members all take writes, no member sees another's locks, only what it wrote, and that at the commit.
// There Guard writes the row and writes it back, so that of a guarded transaction and a takeover on another member one
// fails at its commit, with 1213. Guards of one lock then wait for each other.
//
// Roll tx back if the answer is false or an error. Above READ COMMITTED, InnoDB keeps the row locked that it has
// looked at, and so the release of its new holder waiting; and a deadlock, 1213, has rolled tx back already: its
// class, Transient, is about the guard alone.
func (d *Dialect) Guard(ctx context.Context, tx *sql.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the *sql.Tx is nil; pass the transaction that the lock protects",
			dialect.ErrInvalid))
	}
	if len(claims) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx) // known since the lock was acquired
	if err != nil {
		return nil, fail("guard", err)
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return guard(ctx, tx, f, c) })
}

func guard(ctx context.Context, s engine.Session, f flavour, c dialect.Claim) (bool, error) {
	if f.cluster != "" {
		n, err := engine.Exec(ctx, s, sqlGuardCluster, c.Name, c.Slot, c.Owner)
		if err == nil && n == 1 {
			n, err = engine.Exec(ctx, s, sqlGuardCluster, c.Name, c.Slot, c.Owner) // as it was
		}
		return err == nil && n == 1, err
	}
	found, err := engine.Query(ctx, s, engine.One[int], sqlGuard, c.Name, c.Slot, c.Owner)
	return len(found) == 1, err
}

// Free frees each lock that is still as the orphan was seen: one statement each. It waits for nobody: a row that is
// guarded, or that another is just changing, is false.
func (d *Dialect) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	if len(orphans) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("free", err)
	}
	return each("free", orphans, func(o dialect.Orphan) (bool, error) { return free(ctx, d.pool, f, o) })
}

func free(ctx context.Context, s engine.Session, f flavour, o dialect.Orphan) (bool, error) {
	// Overdue is rounded down, since what it takes away is a delay that somebody asked for.
	n, err := engine.Affected(sqlFree.run(ctx, s, f, []any{o.Name, o.Slot, o.Fence, o.LeaseID}, o.Overdue.Microseconds()))
	return n == 1, err
}

// number is the server's error number, 0 if err isn't the server's.
func number(err error) uint16 {
	if answer, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return answer.Number
	}
	return 0
}

// Raise raises the fence of each lock that still names its claim's owner: one statement each. It waits behind a Guard of
// the same lock, until that transaction ends, or ctx does, or innodb_lock_wait_timeout has passed (Transient).
func (d *Dialect) Raise(ctx context.Context, raises []dialect.Raise) ([]bool, error) {
	return each("raise", raises, func(r dialect.Raise) (bool, error) { return raise(ctx, d.pool, r) })
}

func raise(ctx context.Context, s engine.Session, r dialect.Raise) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	result, err := s.ExecContext(ctx, sqlRaise, r.Fence, r.Name, r.Slot, r.Owner)
	if err != nil {
		return false, err
	}
	fence, err := result.LastInsertId()
	return fence != 0, err
}
