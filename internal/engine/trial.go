package engine

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Try runs one statement of a trial: "renew a lease". It worked if it had the effect that it should.
type Try func(what string, statement func() (worked bool, err error))

// Trial runs statements in a transaction that it rolls back, up to the first that fails. suspects is what to look for
// where one runs and has no effect: "a trigger on sqllock's tables".
func Trial(ctx context.Context, db *sql.DB, suspects string, statements func(tx *sql.Tx, try Try)) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	statements(tx, func(what string, statement func() (bool, error)) {
		if err != nil {
			return
		}
		worked, failed := statement()
		if failed == nil && !worked {
			failed = fmt.Errorf("%w: the statement ran and had no effect; is there %s?",
				dialect.ErrUnsupported, suspects)
		}
		if failed != nil {
			err = fmt.Errorf("tried to %s: %w", what, failed)
		}
	})
	if err != nil {
		return err
	}
	return tx.Rollback()
}
