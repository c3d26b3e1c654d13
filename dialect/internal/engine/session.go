package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Session is what statements run on: the pool, a connection, or a transaction of the caller's or of
// the engine's own.
type Session interface {
	dialect.Tx
}

// NoDB is the Session that replaces a nil *sql.DB: every statement fails with dialect.ErrInvalid.
type NoDB struct{}

// Exec fails.
func (NoDB) Exec(context.Context, string, ...any) (int64, error) { return 0, dialect.CheckDB(nil) }

// Query fails.
func (NoDB) Query(context.Context, string, ...any) (dialect.Rows, error) {
	return nil, dialect.CheckDB(nil)
}

// Exec runs a statement and returns how many rows it has changed.
func Exec(ctx context.Context, s Session, text string, args ...any) (int, error) {
	n, err := s.Exec(ctx, text, args...)
	return int(n), err
}

// ExecResult runs a statement and returns database/sql's whole result. s must be a Session of
// database/sql's. A caller's transaction may be another kind.
func ExecResult(ctx context.Context, s Session, text string, args ...any) (sql.Result, error) {
	q, ok := s.(dialect.Querier)
	if !ok {
		return nil, fmt.Errorf("%w: %T is not of database/sql", dialect.ErrUnsupported, s)
	}
	return q.ExecContext(ctx, text, args...)
}

// Affected returns how many rows a statement has changed.
func Affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// RowReader is a Session that can hand out a query's rows while it has a connection to itself.
type RowReader interface {
	// ReadRows runs a query and calls read with its rows. It returns an error of either. If ctx
	// ends, it may return while read still runs.
	ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error
}

// Query runs a statement and reads its rows to the end. With some drivers it commits only after the
// last of them, and only then is known to have worked.
func Query[T any](
	ctx context.Context, s Session, scan func(dialect.Rows, *T) error, text string, args ...any,
) ([]T, error) {
	var all []T
	read := func(rows dialect.Rows) error {
		all = nil // of a try before
		for rows.Next() {
			var one T
			if err := scan(rows, &one); err != nil {
				return err
			}
			all = append(all, one)
		}
		return rows.Err()
	}
	var err error
	if reader, ok := s.(RowReader); ok {
		err = reader.ReadRows(ctx, read, text, args...)
	} else {
		err = ReadRows(ctx, s, read, text, args...)
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ReadRows runs a query on any Session and calls read with its rows.
func ReadRows(
	ctx context.Context, s Session, read func(dialect.Rows) error, query string, args ...any,
) error {
	rows, err := s.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err returns it
	return read(rows)
}

// One scans rows of one column.
func One[T any](rows dialect.Rows, one *T) error { return rows.Scan(one) }

// Each calls ask for every element in turn. Each element is a statement with a commit of its own,
// so no order of them can deadlock.
func Each[In, Out any](in []In, ask func(In) (Out, error)) ([]Out, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]Out, len(in))
	for i, one := range in {
		result, err := ask(one)
		if err != nil {
			return nil, err
		}
		out[i] = result
	}
	return out, nil
}

// WithCause adds to the error of a call that ctx has ended, if the driver returned another error.
func WithCause(ctx context.Context, err error) error {
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}
