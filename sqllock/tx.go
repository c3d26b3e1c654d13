package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/anytx"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// AcquireTx takes a lock in the caller's transaction. The lock ends with the transaction: by
// Commit, by Rollback, or when its connection ends. There is nothing to release. AcquireTx waits in
// the server's own queue until ctx ends, so give it a ctx with a deadline. After any error tx can
// only be rolled back. The errors are:
//
//   - [ErrNotAcquired] if ctx ended first. The error is then also ctx.Err().
//   - [ErrDeadlock] if the server found that transactions wait for each other.
//   - [ErrUnsupported] if the engine has no transaction locks.
//   - [ErrInvalid] if the name breaks a rule, or tx is nil or not a transaction.
//
// Under READ COMMITTED, a statement after AcquireTx sees what the previous holder has committed. On
// MySQL and MariaDB this is also so under REPEATABLE READ if nothing was read in tx before. On
// PostgreSQL, a transaction at a level above READ COMMITTED sees only what was committed when it
// began to wait. Use READ COMMITTED there, or acquire a lease lock and begin the transaction after
// that.
//
// ROLLBACK TO SAVEPOINT may release a lock that was taken after the savepoint. PostgreSQL and SQL
// Server release it, MySQL and MariaDB do if tx had done nothing before the savepoint, and SQLite
// keeps it until tx ends. So take the lock again after a rollback to a savepoint: taking a lock
// that tx already holds has no effect.
//
// tx must be in the Client's database; in another database AcquireTx takes another lock.
// Transaction locks exclude only each other, not the lease locks and session locks of the same
// name. On SQLite each of them is the database's write lock, whatever its name.
func (c *Client) AcquireTx(ctx context.Context, tx Tx, name string) error {
	return c.store.lockTx(ctx, tx, dialect.ServerLock{Name: name}, true)
}

// AcquireTxShared is [Client.AcquireTx] for a lock that several transactions share, as long as all
// of them take it shared. On SQLite it returns [ErrUnsupported].
func (c *Client) AcquireTxShared(ctx context.Context, tx Tx, name string) error {
	return c.store.lockTx(ctx, tx, dialect.ServerLock{Name: name, Shared: true}, true)
}

// TryAcquireTx is [Client.AcquireTx] without waiting. If another transaction holds the lock, the
// error is an [ErrNotAcquired], and tx can still be used.
func (c *Client) TryAcquireTx(ctx context.Context, tx Tx, name string) error {
	return c.store.lockTx(ctx, tx, dialect.ServerLock{Name: name}, false)
}

// TryAcquireTxShared is [Client.AcquireTxShared] without waiting. Its errors are those of
// [Client.TryAcquireTx].
func (c *Client) TryAcquireTxShared(ctx context.Context, tx Tx, name string) error {
	return c.store.lockTx(ctx, tx, dialect.ServerLock{Name: name, Shared: true}, false)
}

func (d *database) lockTx(ctx context.Context, tx Tx, lock dialect.ServerLock, wait bool) error {
	name := lock.Name
	if err := CheckName(name); err != nil {
		return err
	}
	in, err := anytx.Of(tx, "AcquireTx of lock", name)
	if err != nil {
		return err
	}
	locker, ok := d.Dialect.(dialect.TxLocker)
	switch {
	case in == nil:
		return fail.Invalid("the transaction for lock %q is nil", name)
	case d.Open().Err() != nil:
		return errClosed
	case !ok:
		return fmt.Errorf("sqllock: %w: %s has no transaction locks; use a lease lock and its Guard",
			ErrUnsupported, d.Name())
	case ctx.Err() != nil:
		return gaveUp(ctx, name, nil)
	}
	granted, err := locker.LockTx(ctx, in, lock, wait)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w; roll the transaction back: %w", gaveUp(ctx, name, nil), err)
	case errors.Is(err, ErrDeadlock):
		return fmt.Errorf("sqllock: lock %q: roll the transaction back and begin it again: %w", name, err)
	case err != nil:
		return d.failed(fmt.Sprintf("taking lock %q in a transaction", name), err)
	case !granted:
		return fmt.Errorf("sqllock: %w: %q is held by another transaction", ErrNotAcquired, name)
	}
	return nil
}

// Tx is a transaction of the application, which begins and ends it. These types implement it:
//
//   - database/sql: a *sql.Tx
//   - sqlx: a *sqlx.Tx
//   - bun: a bun.Tx
//   - ent: the generated *ent.Tx, if the feature sql/execquery is on
//   - GORM: tx.Statement.ConnPool, of the tx that Transaction or Begin gives
//
// For pgx, pass what postgres.Tx of package dialect/postgres makes of a pgx.Tx. Any other type with
// the methods ExecContext, QueryContext, Commit and Rollback of a *sql.Tx is a transaction too, and
// so is an implementation of [dialect.Tx]. sqllock never calls Commit or Rollback; they distinguish
// a transaction from a pool. A pool is an [ErrInvalid].
//
// If a type embeds a *sql.Tx, that *sql.Tx is used, so that statements reach the driver unchanged.
type Tx interface {
	// ExecContext is that of [sql.Tx].
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}
