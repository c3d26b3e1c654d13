package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
)

// Do acquires the lock as [Client.Acquire] does, runs fn, and releases the lock, even if fn panics.
// The ctx that fn gets ends with ctx, and with cause [ErrLost] when the lock is lost. Do returns
// the errors of fn and of [Lock.Release], joined: if the lock was lost while fn ran, the error is
// an ErrLost even if fn returned nil.
func (c *Client) Do(
	ctx context.Context, name string, fn func(ctx context.Context, lock *Lock) error, opts ...Option,
) error {
	return do(ctx, name, fn, func() (*Lock, error) { return c.Acquire(ctx, name, opts...) })
}

// do runs fn under the lock that acquire returns.
func do(ctx context.Context, name string, fn func(context.Context, *Lock) error, acquire func() (*Lock, error)) error {
	if fn == nil {
		return fail.Invalid("the function to do under lock %q is nil", name)
	}
	lock, err := acquire()
	if err != nil {
		return err
	}
	return lock.while(ctx, func(ctx context.Context) error { return fn(ctx, lock) })
}

// while runs f with a ctx that also ends with the lock, and then releases the lock, even if f
// panics.
func (l *Lock) while(ctx context.Context, f func(ctx context.Context) error) (err error) {
	ctx, end := l.scope(ctx)
	defer end(nil)
	defer func() { err = fail.Also(err, l.Release(ctx)) }()
	return f(ctx)
}

// DoTx does work in a transaction under a lock. It acquires the lock and waits for it until ctx
// ends, begins a transaction on the *sql.DB that the Client was made with, calls fn, guards the
// lock in the transaction ([Lock.Guard]), commits, and releases the lock.
//
// If DoTx returns nil, what fn wrote in tx is committed, and nobody else held the lock meanwhile. A
// release that fails after the commit is only logged, and is retried in the background. If DoTx
// returns an error, nothing is committed, except as described in the last case:
//
//   - fn's error, unchanged. The transaction is rolled back, even if fn panics.
//   - [ErrLost] if the lock was lost before the guard, even if fn returned nil.
//   - [ErrRetryTx] if the database refused the guard or the commit because of another transaction,
//     for instance under SERIALIZABLE: call DoTx again.
//   - [ErrInvalid] if fn ended the transaction itself.
//   - The errors of [Client.Acquire].
//   - Another error of the commit. If the connection broke, it is unknown whether the transaction
//     was committed, and the error says so.
//
// The ctx that fn gets ends with ctx, and with cause ErrLost when the lock is lost; the transaction
// is rolled back then. From the guard on, the ctx ends only with DoTx's ctx, because the guard
// holds the lock. The transaction begins after the lock was acquired, at the database's default
// isolation level, so it sees what the lock's last holder committed.
//
// A dialect on pgx has no *sql.DB: use DoTx of package dialect/postgres there.
func (c *Client) DoTx(
	ctx context.Context, name string, fn func(ctx context.Context, tx *sql.Tx) error, opts ...Option,
) error {
	if fn == nil {
		return fail.Invalid("the function to do under lock %q is nil", name)
	}
	db, err := c.store.pool(name)
	if err != nil {
		return err
	}
	committed := false
	err = c.Do(ctx, name, func(under context.Context, lock *Lock) error {
		work := txWork{store: c.store, db: db, lock: lock, fn: fn}
		err := work.run(ctx, under)
		committed = err == nil
		return err
	}, opts...)
	if committed {
		if err != nil {
			c.log.Warn("sqllock: the work is committed, and its lock couldn't be released yet",
				"lock", name, "err", err)
		}
		return nil
	}
	return err
}

// pool returns the pool on which DoTx begins its transaction.
func (d *database) pool(name string) (*sql.DB, error) {
	pool, ok := d.Dialect.(dialect.SQLPool)
	if !ok || pool.DB() == nil {
		return nil, fmt.Errorf("sqllock: %w: DoTx of lock %q needs an *sql.DB, and this Client's %s dialect runs on "+
			"none; over pgx use postgres.DoTx, otherwise Do, and Guard in a transaction of your own",
			ErrUnsupported, name, d.Name())
	}
	return pool.DB(), nil
}

// txWork is the transaction of one DoTx.
type txWork struct {
	store *database
	db    *sql.DB
	lock  *Lock
	fn    func(ctx context.Context, tx *sql.Tx) error
}

// run calls fn in a transaction, guards the lock in it and commits it. caller is DoTx's ctx. under
// also ends with the lock.
func (w *txWork) run(caller, under context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(under)) // of the transaction
	defer cancel()
	attached := context.AfterFunc(under, cancel)
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return w.failed(under, "beginning a transaction", err)
	}
	defer tx.Rollback()
	if err := w.fn(under, tx); err != nil {
		return err
	}
	if !attached() || under.Err() != nil {
		return fail.Ended(under) // the transaction has ended with it
	}
	defer context.AfterFunc(caller, cancel)()
	if err := w.lock.Guard(caller, tx); err != nil {
		return w.failed(caller, "", err)
	}
	if err := tx.Commit(); err != nil {
		return w.failed(caller, "committing", err)
	}
	return nil
}

// failed returns the error for a statement of DoTx itself that failed in its transaction. what is
// empty if the error already says what was tried.
func (w *txWork) failed(ctx context.Context, what string, err error) error {
	class := w.store.Classify(err)
	failed := err
	if what != "" {
		failed = w.store.failed(fmt.Sprintf("%s under lock %q", what, w.lock.Name()), err)
	}
	switch {
	case ctx.Err() != nil && !errors.Is(err, ErrLost):
		return fmt.Errorf("%w: %w", fail.Ended(ctx), failed)
	case errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("sqllock: %w: the function under lock %q has ended the transaction, which DoTx does: %w",
			ErrInvalid, w.lock.Name(), err)
	case class == dialect.ClassTransient:
		return fmt.Errorf("%w: %w", ErrRetryTx, failed)
	case class == dialect.ClassUnknown && what == "committing":
		return fmt.Errorf("%w; it is unknown whether the transaction was committed", failed)
	}
	return failed
}
