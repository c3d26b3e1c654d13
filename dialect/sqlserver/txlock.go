package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// LockTx takes an application lock (sp_getapplock) that ends with tx. Waiting is the server's, first come first served
// among those who wait, in slices of 10 s.
//
// Under SNAPSHOT a transaction sees what was committed before its first statement. Where that is this one, and it had
// to wait, tx doesn't see what the lock's last holder has committed: begin with READ COMMITTED where the lock protects
// what tx reads.
//
// When ctx ends while it waits, the statement is cancelled in the server, and with XACT_ABORT the transaction with it:
// roll tx back. To be told of a deadlock doesn't roll it back by itself.
func (d *Dialect) LockTx(ctx context.Context, tx *sql.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	what := fmt.Sprintf("lock %q in a transaction", lock.Name)
	if tx == nil {
		return false, fail(what, fmt.Errorf("%w: the *sql.Tx is nil; pass the transaction that the lock is for",
			dialect.ErrInvalid))
	}
	if !wait {
		got, err := granted(lockTx(ctx, tx, lock, 0))
		return got, fail(what, deadlock(err))
	}
	for {
		got, err := granted(waited(lockTx(ctx, tx, lock, patience(ctx))))
		if got || err != nil {
			return got, fail(what, deadlock(err))
		}
		if ctx.Err() != nil {
			return false, fail(what, ctx.Err())
		}
	}
}

func lockTx(ctx context.Context, s engine.Session, lock dialect.ServerLock, wait time.Duration) ([]int, error) {
	return query(ctx, s, engine.One[int], sqlLockTx, text(txKind.resource(lock.Name)), text(mode(lock)), wait.Milliseconds())
}

// slice bounds one wait in the server, which may go on waiting for a client that has gone. It is longer than servers
// take to look for deadlocks.
const slice = 10 * time.Second

// patience is what is left of ctx, but no longer than a slice: the server then ends the wait when the caller does.
func patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(max(time.Until(deadline), time.Millisecond), slice)
	}
	return slice
}

// waited makes -999 an error: whoever has waited and wasn't given the lock is told -1.
func waited(statuses []int, err error) ([]int, error) {
	if err == nil && len(statuses) == 1 && statuses[0] == statusOther {
		err = refusal(statusOther)
	}
	return statuses, err
}

// deadlock says so where that is what the server says: of a transaction that waits for rows, too, which rolls it back.
func deadlock(err error) error {
	if number(err) == errDeadlock {
		return fmt.Errorf("%w: the server has rolled the transaction back; begin anew: %w", dialect.ErrDeadlock, err)
	}
	return err
}
