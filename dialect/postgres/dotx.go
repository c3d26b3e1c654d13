package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sqllock/sqllock/dialect"
)

// Beginner begins transactions of pgx. A *pgxpool.Pool and a *pgx.Conn are Beginners.
type Beginner interface {
	// BeginTx begins a transaction. ctx bounds only the beginning.
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Locks is what [DoTx] needs of a Client of package sqllock, which this package doesn't import. L
// is sqllock's *Lock, and O its Option.
type Locks[L, O any] interface {
	// Do acquires the lock of that name, runs fn, and releases the lock.
	Do(ctx context.Context, name string, fn func(ctx context.Context, lock L) error, opts ...O) error
}

// Guarded is what [DoTx] needs of a lock. T is sqllock's Tx.
type Guarded[T any] interface {
	// Guard makes sure that the lock is held until tx has ended.
	Guard(ctx context.Context, tx T) error
}

// DoTx does what Client.DoTx of package sqllock does, with a transaction of pgx. It acquires the
// lock, waiting for it until ctx ends, begins a transaction on pool, calls fn, guards the lock in
// the transaction, commits, and releases the lock:
//
//	work := func(ctx context.Context, tx pgx.Tx) error {
//		_, err := tx.Exec(ctx, "INSERT INTO reports …")
//		return err
//	}
//	err := postgres.DoTx(ctx, pool, locks, "report/nightly", work)
//
// If DoTx returns nil, what fn has written in tx is committed, and nobody else had the lock
// meanwhile. A release that fails after the commit is repeated in the background. If DoTx returns
// an error, nothing is committed, except as described in the last case:
//
//   - fn's error, unchanged. The transaction is rolled back, even if fn panics.
//   - sqllock.ErrLost if the lock was lost before the guard, even if fn has returned nil.
//   - sqllock.ErrRetryTx if the database refused the guard or the commit because of another
//     transaction, as under SERIALIZABLE. Call DoTx again.
//   - sqllock.ErrInvalid if fn has ended the transaction itself.
//   - Any error of Client.Acquire.
//   - Any other error of the commit. If the connection broke, it is unknown whether the transaction
//     was committed, and the error says so.
//
// The ctx that fn gets ends with DoTx's ctx, and with cause sqllock.ErrLost when the lock is lost.
func DoTx[T any, L Guarded[T], O any](
	ctx context.Context, pool Beginner, locks Locks[L, O], name string, fn func(ctx context.Context, tx pgx.Tx) error,
	opts ...O,
) error {
	if fn == nil || pool == nil {
		return fmt.Errorf("postgres: %w: the function to do under lock %q, or the pool to begin on, is nil",
			dialect.ErrInvalid, name)
	}
	committed := false
	err := locks.Do(ctx, name, func(under context.Context, lock L) error {
		err := workTx(ctx, under, pool, name, fn, func(tx pgx.Tx) error {
			in, ok := any(Tx(tx)).(T)
			if !ok {
				return fmt.Errorf("postgres: %w: a %T is guarded in another kind of transaction",
					dialect.ErrUnsupported, lock)
			}
			return lock.Guard(ctx, in)
		})
		committed = err == nil
		return err
	}, opts...)
	if committed {
		return nil
	}
	return err
}

// workTx calls fn in a transaction, guards the lock in it, and commits it. caller is DoTx's ctx.
// under also ends when the lock is lost.
func workTx(
	caller, under context.Context, pool Beginner, name string, fn func(ctx context.Context, tx pgx.Tx) error,
	guard func(tx pgx.Tx) error,
) error {
	tx, err := pool.BeginTx(under, pgx.TxOptions{})
	if err != nil {
		return failedWork(under, "beginning a transaction", name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), endWithin)
		defer cancel()
		_ = tx.Rollback(ctx) // after Commit there is nothing to roll back
	}()
	if err := fn(under, tx); err != nil {
		return err
	}
	if err := under.Err(); err != nil {
		return fmt.Errorf("%w: %w", err, context.Cause(under))
	}
	if err := guard(tx); err != nil {
		return failedWork(caller, "guarding", name, err)
	}
	if err := tx.Commit(caller); err != nil {
		return failedWork(caller, committing, name, err)
	}
	return nil
}

const committing = "committing"

// failedWork returns the error of a step that DoTx itself has tried in its transaction.
func failedWork(ctx context.Context, what, name string, err error) error {
	failed := fmt.Errorf("postgres: %s under lock %q: %w", what, name, err)
	switch class := classify(err); {
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", ctx.Err(), failed)
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, pgx.ErrTxClosed):
		return fmt.Errorf("postgres: %w: the function under lock %q has ended the transaction, which DoTx does: %w",
			dialect.ErrInvalid, name, err)
	case class == dialect.ClassTransient:
		return fmt.Errorf("%w: %w", dialect.ErrRetryTx, failed)
	case class == dialect.ClassUnknown && what == committing:
		return fmt.Errorf("%w; it is unknown whether the transaction was committed", failed)
	}
	return failed
}
