package engine

import (
	"context"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Try runs one statement of a trial, such as "renew a lease". statement reports whether it had its
// effect.
type Try func(what string, statement func() (worked bool, err error))

// Trial runs statements in a transaction that it rolls back, up to the first that fails. suspects
// names possible reasons for a statement that runs without effect: "a trigger on sqllock's tables".
func Trial(ctx context.Context, conns Conns, suspects string, statements func(tx Session, try Try)) error {
	tx, err := conns.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // TrialIn has usually rolled it back
	return TrialIn(tx, suspects, statements)
}

// TrialIn is Trial in a transaction that has begun.
func TrialIn(tx Tx, suspects string, statements func(tx Session, try Try)) (err error) {
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
