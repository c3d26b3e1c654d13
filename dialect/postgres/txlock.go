package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// LockTx takes an advisory lock that ends with tx. It works through poolers, in any mode.
//
// Under REPEATABLE READ or SERIALIZABLE the transaction's snapshot is that of its first statement.
// If LockTx runs the first statement and has to wait, tx doesn't see what the lock's last holder
// has committed. So begin with READ COMMITTED if the lock protects what tx reads.
//
// If ctx ends while LockTx waits, the driver cancels the statement in the server, and pgx closes
// the connection. The lock isn't held then, and tx can only be rolled back, which may report that
// the connection is closed. The same applies to lock_timeout and statement_timeout, which can end
// the wait earlier.
func (d *Dialect) LockTx(ctx context.Context, tx dialect.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	if tx == nil {
		return false, fmt.Errorf("postgres: lock in a transaction: %w: the transaction is nil; "+
			"pass the transaction that the lock is for", dialect.ErrInvalid)
	}
	s := d.pool.in(ctx, tx)
	switch f, err := d.flavour(ctx, s); {
	case err != nil:
		return false, fmt.Errorf("postgres: lock %q in a transaction: %w", lock.Name, err)
	case f.plain:
		return false, fmt.Errorf("postgres: lock %q: %w", lock.Name, errPlain("a lock in a transaction"))
	}
	got, err := lockTx(ctx, s, lock, wait)
	if err != nil {
		return false, fmt.Errorf("postgres: lock %q in a transaction: %w", lock.Name, deadlock(lock.Name, err))
	}
	return got, nil
}

func lockTx(ctx context.Context, s engine.Session, lock dialect.ServerLock, wait bool) (bool, error) {
	key := txKind.key(lock.Name)
	if wait {
		text := sqlTxLock
		if lock.Shared {
			text = sqlTxShare
		}
		_, err := query(ctx, s, engine.One[string], text, key)
		return err == nil, err
	}
	text := sqlTxTryLock
	if lock.Shared {
		text = sqlTxTryShare
	}
	got, err := query(ctx, s, engine.One[bool], text, key)
	return len(got) == 1 && got[0], err
}

// deadlock adds dialect.ErrDeadlock to a deadlock error of the server, with the server's details of
// which process waits for which.
func deadlock(name string, err error) error {
	var withState interface{ SQLState() string }
	if !errors.As(err, &withState) || withState.SQLState() != "40P01" {
		return err
	}
	detail := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Detail != "" {
		detail = " (" + named(name, strings.ReplaceAll(e.Detail, "\n", " ")) + ")"
	}
	return fmt.Errorf("%w: %w%s", dialect.ErrDeadlock, err, detail)
}

// named replaces the advisory lock's number, which the server writes in two halves, by the lock's
// name.
func named(name, detail string) string {
	key := uint64(txKind.key(name)) //nolint:gosec // the halves have no sign
	lock := regexp.MustCompile(fmt.Sprintf(`advisory lock \[\d+,%d,%d,1\]`, key>>32, key&0xffffffff))
	return lock.ReplaceAllLiteralString(detail, fmt.Sprintf("lock %q", name))
}
