// Package sqlite is the dialect for SQLite 3.42 and later, on one machine: the database is a file, and a file on a
// network disk can't be locked in earnest.
//
// It is made for the driver modernc.org/sqlite, which Open uses, and works with others that report SQLite's result
// code by a method Code() int; of errors without one it knows the commonest by SQLite's own words for them.
//
// SQLite has one writer at a time. A Guard is a write, so from then until the caller's transaction ends all other
// writes to the file wait, heartbeats too: as long as busy_timeout says, and then they fail as Transient. Keep what
// follows a Guard short.
//
// The clock has milliseconds. Durations are kept in microseconds, and what is shorter is rounded up.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Dialect serves locks from one SQLite database. It is safe for concurrent use and keeps nothing open.
type Dialect struct {
	db   *sql.DB
	pool session
	sql  statements
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB) *Dialect {
	if db == nil {
		return &Dialect{pool: noDB{}, sql: queries}
	}
	return &Dialect{db: db, pool: db, sql: queries}
}

// Name is "sqlite".
func (d *Dialect) Name() string { return "sqlite" }

// SchemaVersion is the version of migrations/sqlite that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 2 }

// session is what statements run on: the pool, or a transaction.
type session interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// noDB stands in for a nil *sql.DB.
type noDB struct{}

func (noDB) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, dialect.CheckDB(nil)
}

// query runs a statement and reads its rows to the end: with RETURNING it commits after the last of them, and not
// before. A statement without rows is run by reading none.
func query[T any](ctx context.Context, s session, scan func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	rows, err := s.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// count runs a statement and answers how many rows it returned.
func count(ctx context.Context, s session, text string, args ...any) (int, error) {
	rows, err := query(ctx, s, func(*sql.Rows) (struct{}, error) { return struct{}{}, nil }, text, args...)
	return len(rows), err
}

// each calls ask for every element in turn: a statement each, with a commit of its own.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]Out, len(in))
	for i, one := range in {
		answer, err := ask(one)
		if err != nil {
			return nil, fail(what, err)
		}
		out[i] = answer
	}
	return out, nil
}

// fail says what failed, and keeps the cause for Classify.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}

// micros is d in microseconds, rounded up.
func micros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 {
		us++
	}
	return us
}

// duration is the opposite of micros. What time.Duration can't hold, some 292 years, becomes its limit.
func duration(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(max(us, -most), most)) * time.Microsecond
}
