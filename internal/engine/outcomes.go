package engine

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// ScanOutcome reads fence, failed, result, done_at in microseconds since 1970, and whether it is kept.
func ScanOutcome(rows *sql.Rows, o *dialect.Outcome) error {
	var at int64
	var result []byte
	if err := rows.Scan(&o.Fence, &o.Failed, &result, &at, &o.Kept); err != nil {
		return err
	}
	if !o.Kept {
		*o = dialect.Outcome{}
		return nil
	}
	if len(result) > 0 {
		o.Result = result
	}
	o.At = time.UnixMicro(at).UTC()
	return nil
}

// QueryOutcome runs a statement that answers one row for ScanOutcome, or none: found says so.
func QueryOutcome(ctx context.Context, s Session, text string, args ...any) (o dialect.Outcome, found bool, err error) {
	all, err := Query(ctx, s, ScanOutcome, text, args...)
	if err != nil || len(all) == 0 {
		return dialect.Outcome{}, false, err
	}
	return all[0], true, nil
}

// Result is what a driver takes for a column that can't be null.
func Result(result []byte) []byte {
	if result == nil {
		return []byte{}
	}
	return result
}

// CheckTx refuses to claim or settle n names without a transaction.
func CheckTx(tx *sql.Tx, n int) error {
	if tx == nil && n > 0 {
		return fmt.Errorf("%w: the *sql.Tx is nil; pass the transaction that the outcome is to commit with", dialect.ErrInvalid)
	}
	return nil
}

// FirstWins writes an outcome unless one is kept, and answers the one that holds.
func FirstWins(write func() (dialect.Outcome, bool, error), recall func() (dialect.Outcome, error)) (dialect.Outcome, error) {
	for range rounds {
		o, written, err := write()
		if err != nil || written {
			return o, err
		}
		if o, err = recall(); err != nil || o.Kept {
			return o, err
		}
	} // the one that was there has come to its end between the two
	return dialect.Outcome{}, ErrBusy
}
