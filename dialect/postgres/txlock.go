package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// LockTx takes an advisory lock that ends with tx. It works through poolers, in any mode.
//
// Under REPEATABLE READ or SERIALIZABLE the transaction's snapshot is that of its first statement. Where that is this
// one, and it had to wait, tx doesn't see what the lock's last holder has committed: begin with READ COMMITTED where
// the lock protects what tx reads.
//
// When ctx ends while it waits, the driver cancels the statement in the server, and pgx ends the connection with it: tx
// can only be rolled back, which may say that the connection is closed, and the lock isn't held. The same goes for
// lock_timeout and statement_timeout, which can end the wait earlier.
func (d *Dialect) LockTx(ctx context.Context, tx *sql.Tx, lock dialect.ServerLock, wait bool) (bool, error) {
	if tx == nil {
		return false, fmt.Errorf("postgres: lock in a transaction: %w: the *sql.Tx is nil; pass the transaction that the "+
			"lock is for", dialect.ErrInvalid)
	}
	got, err := lockTx(ctx, tx, lock, wait)
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

// deadlock says so where that is what the server says, with all that it tells about who waits for whom.
func deadlock(name string, err error) error {
	var answer interface{ SQLState() string }
	if !errors.As(err, &answer) || answer.SQLState() != "40P01" {
		return err
	}
	detail := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Detail != "" {
		detail = " (" + named(name, strings.ReplaceAll(e.Detail, "\n", " ")) + ")"
	}
	return fmt.Errorf("%w: %w%s", dialect.ErrDeadlock, err, detail)
}

// named writes the lock's name into the server's text, which knows it as a number in two halves.
func named(name, detail string) string {
	key := uint64(txKind.key(name)) //nolint:gosec // the halves have no sign
	mine := regexp.MustCompile(fmt.Sprintf(`advisory lock \[\d+,%d,%d,1\]`, key>>32, key&0xffffffff))
	return mine.ReplaceAllLiteralString(detail, fmt.Sprintf("lock %q", name))
}
