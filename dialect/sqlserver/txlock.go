package sqlserver

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// LockTx takes an application lock (sp_getapplock) that ends with tx. The server itself waits,
// first come first served, in slices of 10 s.
//
// Under SNAPSHOT a transaction sees what was committed before its first statement. If LockTx runs
// that statement and has to wait, tx doesn't see what the lock's last holder has committed. Begin
// with READ COMMITTED if the lock protects what tx reads.
//
// When ctx ends during the wait, the server cancels the statement, and with XACT_ABORT the
// transaction with it: roll tx back. A deadlock doesn't roll it back by itself.
func (d *Dialect) LockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	what := fmt.Sprintf("lock %q in a transaction", lock.Name)
	if tx == nil {
		return false, fail(what, fmt.Errorf("%w: the transaction is nil; pass the transaction that the lock is for",
			dialect.ErrInvalid))
	}
	if !wait {
		got, err := granted(lockTx(ctx, tx, lock, 0))
		return got, fail(what, deadlock(err))
	}
	for {
		got, err := granted(waited(lockTx(ctx, tx, lock, waitSeconds(ctx))))
		if got || err != nil {
			return got, fail(what, deadlock(err))
		}
		if ctx.Err() != nil {
			return false, fail(what, ctx.Err())
		}
	}
}

func lockTx(ctx context.Context, s engine.Session, lock dialect.ServerLock, wait time.Duration) ([]int, error) {
	return query(ctx, s, engine.One[int], sqlLockTx, text(txKind.resource(lock.Name)), text(mode(lock)),
		wait.Milliseconds())
}

// slice bounds one wait in the server, which may continue to wait for a client that has gone. It is
// longer than servers take to detect deadlocks.
const slice = 10 * time.Second

// waitSeconds returns what remains of ctx, but at most a slice: the server then ends the wait when
// the caller does.
func waitSeconds(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(max(time.Until(deadline), time.Millisecond), slice)
	}
	return slice
}

// waited makes -999 an error: after a wait, the status for a lock that isn't free is -1.
func waited(statuses []int, err error) ([]int, error) {
	if err == nil && len(statuses) == 1 && statuses[0] == statusOther {
		err = refusal(statusOther)
	}
	return statuses, err
}

// deadlock wraps ErrDeadlock around the server's deadlock error. The deadlock of a transaction that
// waits for rows counts too, and has rolled it back.
func deadlock(err error) error {
	if number(err) == errDeadlock {
		return fmt.Errorf("%w: the server has rolled the transaction back; begin again: %w", dialect.ErrDeadlock, err)
	}
	return err
}
