package engine

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Locate reads the name of the database in two sessions. text returns one row with one column.
func Locate(ctx context.Context, tx, pool Session, text string) (of, own string, err error) {
	if of, err = one(ctx, tx, text); err == nil {
		own, err = one(ctx, pool, text)
	}
	return of, own, err
}

func one(ctx context.Context, s Session, text string) (string, error) {
	found, err := Query(ctx, s, One[sql.NullString], text)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d rows for %q", len(found), text)
	}
	if err != nil {
		return "", err
	}
	return found[0].String, nil
}

// NilTx returns an error if tx is nil.
func NilTx(tx dialect.Tx) error {
	if tx != nil {
		return nil
	}
	return fmt.Errorf("%w: the transaction is nil", dialect.ErrInvalid)
}
