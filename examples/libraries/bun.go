package libraries

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/sqllock/sqllock/sqllock"
)

// Bun makes deposits with bun. Create its Client with the *sql.DB of DB.DB.
type Bun struct{ DB *bun.DB }

// Deposit writes under a lock that the caller holds.
func (b Bun) Deposit(ctx context.Context, lock *sqllock.Lock, id, amount int64) error {
	return b.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := b.add(ctx, tx, id, amount); err != nil {
			return err
		}
		return lock.Guard(ctx, tx)
	})
}

// DepositAlone takes the lock in its transaction.
func (b Bun) DepositAlone(ctx context.Context, locks *sqllock.Client, id, amount int64) error {
	return b.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := locks.AcquireTx(ctx, tx, lockName); err != nil {
			return err
		}
		return b.add(ctx, tx, id, amount)
	})
}

func (Bun) add(ctx context.Context, tx bun.Tx, id, amount int64) error {
	_, err := tx.NewUpdate().Model((*Account)(nil)).Set("balance = balance + ?", amount).Where("id = ?", id).Exec(ctx)
	return err
}
