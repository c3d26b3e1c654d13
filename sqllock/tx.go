package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// AcquireTx takes a lock in the caller's transaction. It ends with it: by Commit, by Rollback, or with its connection;
// there is nothing to release. It waits in the server's own queue until ctx ends, and then, or after any other error,
// tx can only be rolled back; give it a ctx with a deadline. Shared is the only option. The errors: ErrNotAcquired if
// ctx ended first, ErrDeadlock if the server found that transactions wait for each other, ErrUnsupported where the
// engine can't do it, ErrInvalid.
//
// What is read after it under READ COMMITTED, or on MySQL and MariaDB under REPEATABLE READ too if nothing was read in
// tx before, is what the holder before has committed. On PostgreSQL, a transaction above READ COMMITTED keeps to what
// it saw when it began to wait: lock first and begin then, with a lease lock, or use READ COMMITTED.
//
// Locks of this kind exclude each other alone, not the lease locks and session locks of the same name. On SQLite each
// of them is the database's write lock, whatever its name.
func (c *Client) AcquireTx(ctx context.Context, tx *sql.Tx, name string, opts ...Option) error {
	return c.lockTx(ctx, tx, name, opts, true)
}

// TryAcquireTx is AcquireTx without waiting: if the lock is another's the error is an ErrNotAcquired, and tx can be
// used on.
func (c *Client) TryAcquireTx(ctx context.Context, tx *sql.Tx, name string, opts ...Option) error {
	return c.lockTx(ctx, tx, name, opts, false)
}

func (c *Client) lockTx(ctx context.Context, tx *sql.Tx, name string, opts []Option, wait bool) error {
	lock, err := txWish(name, opts)
	if err != nil {
		return err
	}
	locker, ok := c.dialect.(dialect.TxLocker)
	switch {
	case tx == nil:
		return invalid("the transaction for lock %q is nil", name)
	case c.open.Err() != nil:
		return errClosed
	case !ok:
		return fmt.Errorf("sqllock: %w: %s has no transaction locks; use a lease lock and its Guard",
			ErrUnsupported, c.dialect.Name())
	case ctx.Err() != nil:
		return gaveUp(ctx, name, nil)
	}
	granted, err := locker.LockTx(ctx, tx, lock, wait)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w; roll the transaction back: %w", gaveUp(ctx, name, nil), err)
	case errors.Is(err, ErrDeadlock):
		return fmt.Errorf("sqllock: lock %q: roll the transaction back and begin it again: %w", name, err)
	case err != nil:
		return c.failed(fmt.Sprintf("taking lock %q in a transaction", name), err)
	case !granted:
		return fmt.Errorf("sqllock: %w: %q is held by another transaction", ErrNotAcquired, name)
	}
	return nil
}

func txWish(name string, opts []Option) (dialect.ServerLock, error) {
	w, err := wished(name, opts)
	if err != nil {
		return dialect.ServerLock{}, err
	}
	if w.session || w.onWait != nil {
		return dialect.ServerLock{}, invalid("Session and OnWait of lock %q don't go with AcquireTx", name)
	}
	return dialect.ServerLock{Name: name, Shared: w.shared}, w.checkServer("AcquireTx")
}
