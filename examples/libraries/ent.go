package libraries

import (
	"context"
	"errors"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/sqllock/sqllock/sqllock"
)

// Ent makes deposits with ent's driver, on which the code that ent generates for a schema runs.
// With the feature sql/execquery that code has an *ent.Tx, which can be passed to Guard and
// AcquireTx unchanged. Create the Client with the *sql.DB of Driver.DB().
type Ent struct{ Driver *entsql.Driver }

// Deposit writes under a lock that the caller holds.
func (e Ent) Deposit(ctx context.Context, lock *sqllock.Lock, id, amount int64) error {
	return e.withTx(ctx, func(tx *entsql.Tx) error {
		if err := e.add(ctx, tx, id, amount); err != nil {
			return err
		}
		return lock.Guard(ctx, tx)
	})
}

// DepositAlone takes the lock in its transaction.
func (e Ent) DepositAlone(ctx context.Context, locks *sqllock.Client, id, amount int64) error {
	return e.withTx(ctx, func(tx *entsql.Tx) error {
		if err := locks.AcquireTx(ctx, tx, lockName); err != nil {
			return err
		}
		return e.add(ctx, tx, id, amount)
	})
}

// withTx calls fn in a transaction, like the function of that name in ent's documentation.
func (e Ent) withTx(ctx context.Context, fn func(tx *entsql.Tx) error) error {
	var begun dialect.Tx
	begun, err := e.Driver.Tx(ctx)
	if err != nil {
		return err
	}
	tx, ok := begun.(*entsql.Tx)
	if !ok {
		return errors.Join(errors.New("the driver's transaction is not an *entsql.Tx"), begun.Rollback())
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (e Ent) add(ctx context.Context, tx *entsql.Tx, id, amount int64) error {
	query, args := entsql.Dialect(e.Driver.Dialect()).Update("accounts").Add("balance", amount).
		Where(entsql.EQ("id", id)).Query()
	return tx.Exec(ctx, query, args, nil)
}
