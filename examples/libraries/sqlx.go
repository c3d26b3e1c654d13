package libraries

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/sqllock/sqllock/sqllock"
)

// Sqlx makes deposits with sqlx. Create its Client with the *sql.DB of DB.DB.
type Sqlx struct{ DB *sqlx.DB }

// Deposit writes under a lock that the caller holds.
func (s Sqlx) Deposit(ctx context.Context, lock *sqllock.Lock, id, amount int64) error {
	tx, err := s.DB.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.add(ctx, tx, id, amount); err != nil {
		return err
	}
	if err := lock.Guard(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// DepositAlone takes the lock in its transaction.
func (s Sqlx) DepositAlone(ctx context.Context, locks *sqllock.Client, id, amount int64) error {
	tx, err := s.DB.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := locks.AcquireTx(ctx, tx, lockName); err != nil {
		return err
	}
	if err := s.add(ctx, tx, id, amount); err != nil {
		return err
	}
	return tx.Commit()
}

func (Sqlx) add(ctx context.Context, tx *sqlx.Tx, id, amount int64) error {
	_, err := tx.NamedExecContext(ctx, "UPDATE accounts SET balance = balance + :amount WHERE id = :id",
		map[string]any{"id": id, "amount": amount})
	return err
}
