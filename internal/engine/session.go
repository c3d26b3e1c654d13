package engine

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
)

// Session is what statements run on: the pool, or a transaction.
type Session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// NoDB is the Session that stands in for a nil *sql.DB: every statement is a dialect.ErrInvalid.
type NoDB struct{}

// ExecContext refuses.
func (NoDB) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, dialect.CheckDB(nil)
}

// QueryContext refuses.
func (NoDB) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, dialect.CheckDB(nil)
}

// Exec runs a statement and answers how many rows it touched.
func Exec(ctx context.Context, s Session, text string, args ...any) (int, error) {
	return Affected(s.ExecContext(ctx, text, args...))
}

// Affected is how many rows a statement touched.
func Affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Query runs a statement and reads its rows to the end: with some drivers it commits after the last of them, and only
// then is known to have worked.
func Query[T any](ctx context.Context, s Session, scan func(*sql.Rows, *T) error, text string, args ...any) ([]T, error) {
	rows, err := s.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// One scans rows of one column.
func One[T any](rows *sql.Rows, one *T) error { return rows.Scan(one) }

// Each calls ask for every element in turn. Elements are statements of their own, each with a commit of its own, so
// no order of them can deadlock.
func Each[In, Out any](in []In, ask func(In) (Out, error)) ([]Out, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]Out, len(in))
	for i, one := range in {
		answer, err := ask(one)
		if err != nil {
			return nil, err
		}
		out[i] = answer
	}
	return out, nil
}
