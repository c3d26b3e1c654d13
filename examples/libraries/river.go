package libraries

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/sqllock"
)

// DepositArgs are the arguments of a job of river.
type DepositArgs struct {
	ID     int64 `json:"id"`     // the account
	Amount int64 `json:"amount"` // what to add to its balance
}

// Kind returns the name of the kind of job.
func (DepositArgs) Kind() string { return "deposit" }

// DepositWorker works on jobs of river, each under the lock of its account, which other programs
// take too.
type DepositWorker struct {
	river.WorkerDefaults[DepositArgs]

	Pool  *pgxpool.Pool   // the pool of the Client and of river
	Locks *sqllock.Client // made with postgres.NewPool(Pool)
}

// Work makes the deposit. The deposit, the end of the job and the check of the lock commit
// together.
func (w *DepositWorker) Work(ctx context.Context, job *river.Job[DepositArgs]) error {
	lock, err := w.Locks.TryAcquire(ctx, lockName)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		return river.JobSnooze(time.Second) // don't keep one of river's workers waiting
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release(ctx) }() // if it fails, it is repeated in the background
	return pgx.BeginFunc(ctx, w.Pool, func(tx pgx.Tx) error {
		err := New(tx).AddToBalance(ctx, AddToBalanceParams{ID: job.Args.ID, Amount: job.Args.Amount})
		if err != nil {
			return err
		}
		if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
			return err
		}
		return lock.Guard(ctx, postgres.Tx(tx))
	})
}
