package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// repairTimeout bounds the search for a connection that went back to its pool with busy_timeout 0.
const repairTimeout = 250 * time.Millisecond

// LockTx makes tx a writer. SQLite has one writer at a time, so whatever the name, the lock is the
// database's one write lock, which tx keeps until it ends. All other writes wait meanwhile,
// heartbeats included, so keep it short. A transaction that began IMMEDIATE, as those of a pool
// from [Open] do, has the lock already, and its BeginTx was what waited for it.
//
// If a deferred transaction has read, and another has written since, it can't become a writer any
// more. The error then says to begin another transaction. If wait is true, LockTx retries until ctx
// ends, without tx's busy_timeout. The driver github.com/mattn/go-sqlite3 doesn't distinguish the
// two cases, so there only ctx ends such a wait. For a shared lock the error wraps
// [dialect.ErrUnsupported].
func (d *Dialect) LockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	got, err := d.lockTx(ctx, tx, lock, wait)
	return got, fail(fmt.Sprintf("lock %q in a transaction", lock.Name), err)
}

func (d *Dialect) lockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	switch {
	case tx == nil:
		return false, fmt.Errorf("%w: the transaction is nil; pass the transaction that is to hold the lock",
			dialect.ErrInvalid)
	case lock.Shared:
		return false, fmt.Errorf("%w: SQLite has one lock for writers, and none that they share; take an exclusive "+
			"one, or just read", dialect.ErrUnsupported)
	}
	for w := startWait(d.file()); ctx.Err() == nil; w.again(ctx) {
		got, err := d.tryWrite(ctx, tx)
		if got || err != nil || !wait {
			return got, explainTx(err)
		}
	}
	return false, ctx.Err()
}

// tryWrite becomes the writer at once or not at all. It restores busy_timeout in the same call if
// that works, and otherwise in the next. Neither call is interrupted when ctx ends: none of it
// waits, and an interrupted write would roll tx back.
func (d *Dialect) tryWrite(ctx context.Context, tx dialect.Tx) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	was, err := engine.Query(ctx, tx, engine.One[int], "PRAGMA busy_timeout")
	if err != nil || len(was) != 1 {
		return false, err
	}
	back := fmt.Sprintf("PRAGMA busy_timeout = %d", was[0])
	_, err = tx.Exec(ctx, "PRAGMA busy_timeout = 0; "+d.sql.writeLock+"; "+back)
	if err == nil || hasEnded(err) {
		return err == nil, err
	}
	if _, failed := tx.Exec(ctx, back); failed != nil { // the end of tx's ctx ended tx
		d.repair(ctx, was[0])
		return false, failed
	}
	if isBusy(err) {
		err = nil
	}
	return false, err
}

// hasEnded reports whether a statement wasn't sent because the transaction has ended. It recognizes
// database/sql's own errors, and that of the ctx with which the transaction was begun.
func hasEnded(err error) bool {
	return errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// repair waits for the connection of a transaction that is being ended, and restores its
// busy_timeout.
func (d *Dialect) repair(ctx context.Context, was int) {
	if d.db == nil || was == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	for !d.repairIdle(ctx, was) && ctx.Err() == nil {
		time.Sleep(minBackoff)
	}
}

// repairIdle checks the pool's idle connections, and reports whether it has repaired one. It keeps
// each one until it has checked the last: otherwise the pool would return the same one again.
func (d *Dialect) repairIdle(ctx context.Context, was int) (repaired bool) {
	var kept []*sql.Conn
	for range d.db.Stats().Idle {
		conn, err := d.db.Conn(ctx)
		if err != nil {
			break
		}
		kept = append(kept, conn)
		now, err := engine.Query(ctx, dialect.SQL(conn), engine.One[int], "PRAGMA busy_timeout")
		if err == nil && len(now) == 1 && now[0] == 0 {
			_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", was))
			repaired = repaired || err == nil
		}
	}
	for _, conn := range kept {
		conn.Close() //nolint:errcheck // it goes back to the pool
	}
	return repaired
}

// explainTx says what the error means for the caller's transaction.
func explainTx(err error) error {
	if isStale(err) {
		return fmt.Errorf("the transaction has read, and others have written since, so it can't become a writer; "+
			"begin a new one, and let it begin IMMEDIATE (_txlock=immediate, as Open does) or lock first: %w", err)
	}
	return err
}
