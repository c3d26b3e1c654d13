package sqlserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// hurry goes before a statement on one of several locks, which must not wait for whoever is at its row: that may be a
// stranger's Guard. The setting ends with the batch, as in free.sql.
const hurry = "SET LOCK_TIMEOUT 0;\n"

// alone is hurry for several, and nothing for one.
func alone(n int) (prefix string) {
	if n == 1 {
		return ""
	}
	return hurry
}

// Acquire takes each lock that is free, one after the other: on a row that is free one statement, one round trip and
// one commit. A single request waits for nothing but another statement that is just taking, releasing or freeing the
// same lock; several wait for nobody.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	prefix := alone(len(requests))
	return each("acquire", requests, func(r dialect.Request) (dialect.Grant, error) {
		return acquire(ctx, d.pool, prefix, r)
	})
}

func acquire(ctx context.Context, s engine.Session, prefix string, r dialect.Request) (dialect.Grant, error) {
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	t := engine.Taking{
		Take: func() (dialect.Grant, error) { return write(ctx, s, prefix, sqlAcquire, r) },
		See: func() ([]bool, error) {
			return query(ctx, s, engine.One[bool], sqlSeeLock, text(r.Name), r.Slot, text(r.Owner))
		},
		Insert: func() (dialect.Grant, error) { return insertLock(ctx, s, prefix, r) },
	}
	if prefix == "" {
		t.Settle = func() error {
			_, err := exec(ctx, s, sqlSettleLock, text(r.Name), r.Slot)
			return err
		}
	}
	return t.Run()
}

// insertLock makes the row of a name that was never taken. Not granted: somebody was faster.
func insertLock(ctx context.Context, s engine.Session, prefix string, r dialect.Request) (dialect.Grant, error) {
	grant, err := write(ctx, s, prefix, sqlInsertLock, r)
	if isDuplicate(err) {
		return dialect.Grant{}, nil
	}
	return grant, err
}

// write runs a statement that writes the request into the lock's row and answers the fence, or touches no row.
func write(ctx context.Context, s engine.Session, prefix, statement string, r dialect.Request) (dialect.Grant, error) {
	fences, err := query(ctx, s, engine.One[int64], prefix+statement, text(r.Name), r.Slot, text(r.Owner), text(r.LeaseID),
		text(r.Note), engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if prefix == hurry && number(err) == errLockTimeout {
		return dialect.Grant{}, nil
	}
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// Release frees each lock that still names its claim's owner: one statement, one round trip and one commit a claim. A
// single claim waits behind a Guard of the same lock, until that transaction ends or ctx does; of several, one that
// somebody is at is false.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	prefix := alone(len(claims))
	return each("release", claims, func(c dialect.Claim) (bool, error) {
		released, err := own(ctx, d.pool, prefix+sqlRelease, c)
		if prefix == hurry && number(err) == errLockTimeout {
			return false, nil
		}
		return released, err
	})
}

// own runs a statement on the lock's row if that still names the claim's owner.
func own(ctx context.Context, s engine.Session, statement string, c dialect.Claim) (bool, error) {
	n, err := exec(ctx, s, statement, text(c.Name), c.Slot, text(c.Owner))
	return n == 1, err
}

// Guard locks each row that still names its claim's owner until tx ends, on every level of isolation. A second guard of
// the same lock waits until the first one's transaction ends. Where tx is SNAPSHOT and its snapshot is older than the
// lock's acquisition, the answer is the error 3960, which has rolled tx back: acquire first, then begin.
//
// An error may have rolled tx back, as the server does for a deadlock (1205): its class is about the guard alone.
func (d *Dialect) Guard(ctx context.Context, tx *sql.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the *sql.Tx is nil; pass the transaction that the lock protects",
			dialect.ErrInvalid))
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return own(ctx, tx, sqlGuard, c) })
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
	n, err := exec(ctx, s, sqlRaise, text(r.Name), r.Slot, text(r.Owner), r.Fence)
	return n == 1, err
}

// Free frees each lock that is still as the orphan was seen: one statement each. It waits for nobody: a row that is
// guarded, or that another is just changing, is false.
func (d *Dialect) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	return each("free", orphans, func(o dialect.Orphan) (bool, error) { return free(ctx, d.pool, o) })
}

func free(ctx context.Context, s engine.Session, o dialect.Orphan) (bool, error) {
	// Overdue is rounded down, since what it takes away is a delay that somebody asked for.
	n, err := exec(ctx, s, sqlFree, text(o.Name), o.Slot, o.Fence, text(o.LeaseID), o.Overdue.Microseconds())
	if number(err) == errLockTimeout {
		return false, nil
	}
	return n == 1, err
}
