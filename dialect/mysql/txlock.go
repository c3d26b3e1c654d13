package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// slice is how long one statement waits for a row. The server continues to wait for a client that
// has gone. So this is also how long an abandoned wait stays in the server's queue, with all that
// its transaction has locked. It is shorter than innodb_lock_wait_timeout can be on MySQL.
const slice = 900 * time.Millisecond

// LockTx locks a row of its own in sqllock_locks, in slot -1. It uses one statement. When a name is
// used for the first time, and again after half an hour, it uses one or two more on another
// connection of the pool. A refusal undoes nothing in tx, whatever innodb_rollback_on_timeout says.
//
// A wait is a row-lock wait, in slices of less than a second that the server ends. After more than
// one slice waiters get the lock in no particular order. A deadlock, 1213, has rolled tx back.
//
// LockTx doesn't fix the snapshot of a REPEATABLE READ transaction, so later reads see what was
// committed before it. A READ ONLY transaction can't lock rows. On Galera, and in a group with
// several primaries, row locks are local to a node until the commit. There the error wraps
// [dialect.ErrUnsupported], and so it does for a shared lock on TiDB.
func (d *Dialect) LockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	got, err := d.lockTx(ctx, tx, lock, wait)
	if err != nil {
		return false, fail(fmt.Sprintf("lock %q in a transaction", lock.Name), explainTx(engine.WithCause(ctx, err)))
	}
	return got, nil
}

func (d *Dialect) lockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	if tx == nil {
		return false, fmt.Errorf("%w: the transaction is nil; pass the transaction that is to hold the lock",
			dialect.ErrInvalid)
	}
	if err := texts.Check("name", lock.Name, 255); err != nil {
		return false, err
	}
	bounded, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	l, err := d.rowLock(bounded, tx, lock)
	switch {
	case err != nil && ctx.Err() == nil && bounded.Err() != nil:
		return false, errRowTimeout
	case err != nil:
		return false, err
	}
	got, err := l.try(ctx)
	for !got && err == nil && wait {
		if err = ctx.Err(); err == nil {
			got, err = l.wait(ctx)
		}
	}
	if errors.Is(err, errNoRow) {
		d.rows.forget(lock.Name)
	}
	return got, err
}

// rowLock is a row that exists and is to be locked.
type rowLock struct {
	flavour
	dialect.ServerLock
	tx dialect.Tx
}

// rowLock prepares the lock of a row. It reads on the pool what it doesn't know yet.
func (d *Dialect) rowLock(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock) (l rowLock, err error) {
	l.ServerLock, l.tx = lock, tx
	if l.flavour, err = d.flavour(ctx); err != nil {
		return l, err
	}
	if err = l.mayLock("a row lock"); err != nil {
		return l, err
	}
	if l.product == tidb && lock.Shared {
		return l, fmt.Errorf("%w: TiDB has no shared locks of rows; take an exclusive one", dialect.ErrUnsupported)
	}
	return l, d.haveRow(ctx, l.flavour, lock.Name)
}

// try takes the lock if it is free. A SKIP LOCKED that finds nothing leaves the gap beyond the row
// locked, so that no rows can be inserted there. It is only for servers on which NOWAIT would roll
// the transaction back.
func (l rowLock) try(ctx context.Context) (bool, error) {
	if l.maria && l.rollsBack {
		found, err := l.query(ctx, l.statement(" SKIP LOCKED"))
		return len(found) == 1, err
	}
	found, err := l.query(ctx, l.statement(" NOWAIT"))
	if n := number(err); n == erNoWait || n == erLockWaitTimeout {
		return false, nil
	}
	return theRow(found, err)
}

// wait waits for one slice. The server ends it as an overlong statement, which undoes only that
// statement.
func (l rowLock) wait(ctx context.Context) (bool, error) {
	found, err := l.query(ctx, l.atMost(waitSeconds(ctx), l.statement("")))
	switch n := number(err); {
	case n == erStatementTimeout || n == erQueryTimeout:
		return false, nil
	case n == erLockWaitTimeout && !l.rollsBack:
		return false, nil
	case n == erLockWaitTimeout:
		return false, fmt.Errorf("the server has rolled the transaction back (innodb_rollback_on_timeout); "+
			"begin again: %w", err)
	}
	return theRow(found, err)
}

func (l rowLock) query(ctx context.Context, text string) ([]int, error) {
	return engine.Query(ctx, l.tx, engine.One[int], text, l.Name)
}

// statement returns the statement that locks the row. MySQL's FOR SHARE is MariaDB's LOCK IN SHARE
// MODE.
func (l rowLock) statement(how string) string {
	switch {
	case !l.Shared:
		return sqlLockRow + " FOR UPDATE" + how
	case l.maria:
		return sqlLockRow + " LOCK IN SHARE MODE" + how
	}
	return sqlLockRow + " FOR SHARE" + how
}

// atMost makes the server end a statement after that time. MariaDB's row-lock wait can be set to
// any time, even zero.
func (l rowLock) atMost(d time.Duration, text string) string {
	if l.clock == clusterClock { // its MAX_EXECUTION_TIME is for reads alone
		return text + " WAIT 1"
	}
	ms := (d + time.Millisecond - 1).Milliseconds()
	if l.maria {
		return fmt.Sprintf("SET STATEMENT max_statement_time = %d.%03d, innodb_lock_wait_timeout = 60 FOR %s",
			ms/1000, ms%1000, text)
	}
	return strings.Replace(text, "SELECT", fmt.Sprintf("SELECT /*+ MAX_EXECUTION_TIME(%d) */", ms), 1)
}

// waitSeconds returns what remains of ctx, but at most a slice: the server then ends the wait when
// the caller does.
func waitSeconds(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(max(time.Until(deadline), time.Millisecond), slice)
	}
	return slice
}

// theRow reports whether the row was found. It is an error if not, since the row must exist.
func theRow(found []int, err error) (bool, error) {
	if err == nil && len(found) == 0 {
		err = errNoRow
	}
	return err == nil, err
}

// explainTx says what the server's error means for the caller's transaction.
func explainTx(err error) error {
	switch number(err) {
	case erDeadlock:
		return fmt.Errorf("%w: the server has rolled the transaction back, so that another that waits for its locks "+
			"goes on; begin again, and take locks in the same order everywhere: %w", dialect.ErrDeadlock, err)
	case erChanged:
		return fmt.Errorf("the transaction has already read, and the lock's row is newer than its snapshot; "+
			"take the lock first thing in a transaction: %w", err)
	case erReadOnlyTx:
		return fmt.Errorf("the transaction is READ ONLY, and can't lock a row; begin one that may write: %w", err)
	case erTableDenied:
		return fmt.Errorf("%w; it takes SELECT, INSERT and UPDATE on sqllock_locks", err)
	case erNoSuchTable:
		return fmt.Errorf("a table of sqllock is missing from this database; run: sqllock-migrate own up: %w", err)
	}
	return err
}
