package libraries

import (
	"context"

	"gorm.io/gorm"

	"github.com/sqllock/sqllock/sqllock"
)

// Gorm makes deposits with GORM, also with PrepareStmt. Create its Client with the *sql.DB of
// DB.DB().
type Gorm struct{ DB *gorm.DB }

// Deposit writes under a lock that the caller holds.
func (g Gorm) Deposit(ctx context.Context, lock *sqllock.Lock, id, amount int64) error {
	return g.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Model(&Account{ID: id}).Update("balance", gorm.Expr("balance + ?", amount)).Error
		if err != nil {
			return err
		}
		return lock.Guard(ctx, tx.Statement.ConnPool)
	})
}

// DepositAlone takes the lock in its transaction.
func (g Gorm) DepositAlone(ctx context.Context, locks *sqllock.Client, id, amount int64) error {
	return g.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := locks.AcquireTx(ctx, tx.Statement.ConnPool, lockName); err != nil {
			return err
		}
		return tx.Model(&Account{ID: id}).Update("balance", gorm.Expr("balance + ?", amount)).Error
	})
}
