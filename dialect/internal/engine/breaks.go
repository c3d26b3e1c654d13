package engine

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Break are the statements of a dialect that take a lock away and record that.
type Break struct {
	Release  func(ctx context.Context, s Session) (bool, error) // reports whether the lock was the claim's owner's
	Record   func(ctx context.Context, s Session) error         // writes the row
	Recorded func(ctx context.Context, s Session) (bool, error) // reports whether the row is there
}

// Run runs the statements in a transaction that has begun. If it returns true the caller commits,
// and otherwise the caller rolls back.
func (b Break) Run(ctx context.Context, tx Session) (bool, error) {
	released, err := b.Release(ctx, tx)
	if err != nil {
		return false, err
	}
	if !released { // unless it was this very break that released it, and the reply was lost
		return b.Recorded(ctx, tx)
	}
	return true, b.Record(ctx, tx)
}

// Commit runs the statements in a transaction of their own.
func (b Break) Commit(ctx context.Context, conns Conns, in func(Tx) Session) (bool, error) {
	tx, err := conns.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	broken, err := b.Run(ctx, in(tx))
	if err != nil || !broken {
		return false, err
	}
	return true, tx.Commit()
}

// BreakValues are the values of a row of sqllock_breaks in the order of its columns, without the
// time of the break: id, name, slot, kind, fence, holder, note, acquired_at in microseconds since
// 1970, broken_by, broken_from and reason.
func BreakValues(b dialect.Break) []any {
	return []any{
		b.ID, b.Name, int64(b.Slot), b.Kind, b.Fence, b.Holder, b.Note, b.Since.UnixMicro(), b.By, b.From, b.Reason,
	}
}

// ScanBroken reads what BreakValues writes, and then the time of the break in microseconds since
// 1970.
func ScanBroken(rows dialect.Rows, b *dialect.Broken) error {
	var since, at int64
	err := rows.Scan(&b.ID, &b.Name, &b.Slot, &b.Kind, &b.Fence, &b.Holder, &b.Note, &since, &b.By, &b.From, &b.Reason,
		&at)
	b.Since, b.At = time.UnixMicro(since).UTC(), time.UnixMicro(at).UTC()
	return err
}
