package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// ScanOutcome reads fence, failed, result, done_at in microseconds since 1970, and whether the
// outcome is kept.
func ScanOutcome(rows dialect.Rows, o *dialect.Outcome) error {
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

// QueryOutcome runs a statement that returns one row for ScanOutcome, or none. It reports whether
// there was a row.
func QueryOutcome(ctx context.Context, s Session, text string, args ...any) (o dialect.Outcome, found bool, err error) {
	all, err := Query(ctx, s, ScanOutcome, text, args...)
	if err != nil || len(all) == 0 {
		return dialect.Outcome{}, false, err
	}
	return all[0], true, nil
}

// Result returns result in the form that a driver accepts for a column that can't be null.
func Result(result []byte) []byte {
	if result == nil {
		return []byte{}
	}
	return result
}

// CheckTx refuses to claim or remember n names without a transaction.
func CheckTx(tx dialect.Tx, n int) error {
	if tx == nil && n > 0 {
		return fmt.Errorf("%w: the transaction is nil; pass the transaction that the outcome is to commit with",
			dialect.ErrInvalid)
	}
	return nil
}

// FirstWins writes an outcome unless one is kept, and returns the one that holds.
func FirstWins(
	write func() (dialect.Outcome, bool, error), recall func() (dialect.Outcome, error),
) (dialect.Outcome, error) {
	for range rounds {
		o, written, err := write()
		if err != nil || written {
			return o, err
		}
		if o, err = recall(); err != nil || o.Kept {
			return o, err
		}
	} // the kept outcome has expired between the two
	return dialect.Outcome{}, ErrBusy
}
