package sqlserver

import (
	"context"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// noWait precedes a statement on one of several locks, which must not wait for a locked row: the
// lock may be an unrelated Guard. The setting ends with the batch, as in free.sql.
const noWait = "SET LOCK_TIMEOUT 0;\n"

// singleRow returns noWait for several locks, and nothing for one.
func singleRow(n int) (prefix string) {
	if n == 1 {
		return ""
	}
	return noWait
}

// Acquire takes each lock that is free, one after the other. A lock on a free row costs one
// statement, one round trip and one commit. A single request waits only for another statement that
// is taking, releasing or freeing the same lock. Several requests wait for nothing.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	prefix := singleRow(len(requests))
	return each("acquire", requests, func(r dialect.Request) (dialect.Grant, error) {
		return acquire(ctx, d.pool, prefix, r)
	})
}

func acquire(ctx context.Context, s engine.Session, prefix string, r dialect.Request) (dialect.Grant, error) {
	if err := texts.CheckRequest(r); err != nil {
		return dialect.Grant{}, err
	}
	t := engine.Attempt{
		Take: func() (dialect.Grant, error) { return write(ctx, s, prefix, sqlAcquire, r) },
		See: func() ([]bool, error) {
			return query(ctx, s, engine.One[bool], sqlSeeLock, text(r.Name), r.Slot, text(r.Owner))
		},
		Insert: func() (dialect.Grant, error) { return insertLock(ctx, s, prefix, r) },
	}
	if prefix == "" {
		t.Await = func() error {
			_, err := exec(ctx, s, sqlAwaitLock, text(r.Name), r.Slot)
			return err
		}
	}
	return t.Run()
}

// insertLock inserts the row of a name that was never taken. The lock is not granted if another
// client was faster.
func insertLock(ctx context.Context, s engine.Session, prefix string, r dialect.Request) (dialect.Grant, error) {
	grant, err := write(ctx, s, prefix, sqlInsertLock, r)
	if isDuplicate(err) {
		return dialect.Grant{}, nil
	}
	return grant, err
}

// write runs a statement that writes the request into the lock's row and returns the fence, or
// changes no row.
func write(ctx context.Context, s engine.Session, prefix, statement string, r dialect.Request) (dialect.Grant, error) {
	fences, err := query(ctx, s, engine.One[int64], prefix+statement, text(r.Name), r.Slot, text(r.Owner),
		text(r.LeaseID), text(r.Note), engine.Micros(r.HoldAtLeast), engine.Micros(r.LockDelay))
	if prefix == noWait && number(err) == errLockTimeout {
		return dialect.Grant{}, nil
	}
	if err != nil || len(fences) == 0 {
		return dialect.Grant{}, err
	}
	return dialect.Grant{Granted: true, Fence: fences[0]}, nil
}

// Release frees each lock that still names its claim's owner. Each claim costs one statement, one
// round trip and one commit. A single claim waits behind a Guard of the same lock until that
// transaction or ctx ends. Among several, the result is false for a lock whose row is locked.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	prefix := singleRow(len(claims))
	return each("release", claims, func(c dialect.Claim) (bool, error) {
		released, err := own(ctx, d.pool, prefix+sqlRelease, c)
		if prefix == noWait && number(err) == errLockTimeout {
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

// Guard locks each row that still names its claim's owner until tx ends, on every isolation level.
// A second guard of the same lock waits until the first one's transaction ends. If tx is SNAPSHOT
// and its snapshot is older than the lock's acquisition, the error is 3960, which has rolled tx
// back: acquire first, then begin.
//
// An error may have rolled tx back, as the server does for a deadlock (1205). Its class applies to
// the guard alone.
func (d *Dialect) Guard(ctx context.Context, tx dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	if tx == nil && len(claims) > 0 {
		return nil, fail("guard", fmt.Errorf("%w: the transaction is nil; pass the transaction that the lock protects",
			dialect.ErrInvalid))
	}
	return each("guard", claims, func(c dialect.Claim) (bool, error) { return own(ctx, tx, sqlGuard, c) })
}

// AdvanceFence raises the fence of each lock that still names its claim's owner. It uses one
// statement for each. It waits behind a Guard of the same lock until that transaction or ctx ends.
func (d *Dialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	return each("advance fence", advances, func(r dialect.FenceAdvance) (bool, error) {
		return advanceFence(ctx, d.pool, r)
	})
}

func advanceFence(ctx context.Context, s engine.Session, r dialect.FenceAdvance) (bool, error) {
	if err := r.Check(); err != nil {
		return false, err
	}
	n, err := exec(ctx, s, sqlAdvanceFence, text(r.Name), r.Slot, text(r.Owner), r.Fence)
	return n == 1, err
}

// Free frees each lock that is unchanged since the dead holder was read. It uses one statement for
// each. It waits for nothing: the result is false for a row that is guarded or being changed.
func (d *Dialect) Free(ctx context.Context, dead []dialect.DeadHolder) ([]bool, error) {
	return each("free", dead, func(h dialect.DeadHolder) (bool, error) { return free(ctx, d.pool, h) })
}

func free(ctx context.Context, s engine.Session, h dialect.DeadHolder) (bool, error) {
	// ExpiredFor is rounded down, since it shortens a delay that the holder requested.
	n, err := exec(ctx, s, sqlFree, text(h.Name), h.Slot, h.Fence, text(h.LeaseID), h.ExpiredFor.Microseconds())
	if number(err) == errLockTimeout {
		return false, nil
	}
	return n == 1, err
}

// EndBars ends the bar of each lock that is free and unchanged since it was read. It uses one
// statement for each.
func (d *Dialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return each("end bar", bars, func(b dialect.Bar) (bool, error) { return endBar(ctx, d.pool, b) })
}

func endBar(ctx context.Context, s engine.Session, b dialect.Bar) (bool, error) {
	n, err := exec(ctx, s, sqlEndBar, text(b.Name), b.Slot, b.Fence)
	return n == 1, err
}
