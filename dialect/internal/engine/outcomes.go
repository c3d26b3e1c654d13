package engine

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// ScanOutcome reads fence, failed, result, done_at in microseconds since 1970, and whether the
// outcome is kept. One that isn't kept any more is the zero Outcome.
func ScanOutcome(rows dialect.Rows, o *dialect.Outcome) error {
	if err := scanRemembered(rows, o); err != nil || o.Kept {
		return err
	}
	*o = dialect.Outcome{}
	return nil
}

// scanRemembered is ScanOutcome with all that the row has, also if it isn't kept any more.
func scanRemembered(rows dialect.Rows, o *dialect.Outcome) error {
	var at int64
	var result []byte
	if err := rows.Scan(&o.Fence, &o.Failed, &result, &at, &o.Kept); err != nil {
		return err
	}
	if len(result) > 0 {
		o.Result = result
	}
	o.At = time.UnixMicro(at).UTC()
	return nil
}

// ReadBack is QueryOutcome for an engine whose statements can't return what they have written: it
// runs right after d was written, unless an outcome was kept. A row that equals d was kept at that
// moment, no matter by which process. So it holds, even if its time has passed since.
func ReadBack(ctx context.Context, s Session, text string, d dialect.Done) (dialect.Outcome, error) {
	all, err := Query(ctx, s, scanRemembered, text, d.Name)
	if err != nil || len(all) == 0 {
		return dialect.Outcome{}, err
	}
	o := all[0]
	o.Kept = o.Kept || o.Fence == d.Fence && o.Failed == d.Failed && bytes.Equal(o.Result, d.Result)
	if !o.Kept {
		return dialect.Outcome{}, nil
	}
	return o, nil
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
