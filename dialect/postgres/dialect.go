// Package postgres is the dialect for PostgreSQL 14 and later.
//
// It works with an *sql.DB of any driver that speaks PostgreSQL and whose errors have an SQLState method: pgx (its
// stdlib package, in every query mode) and lib/pq. It keeps no session state and prepares no statement itself, so it
// works through poolers in transaction mode, PgBouncer among them. Prefer pgx: with lib/pq, or
// pgx wrapped in another driver, more failures leave it unknown whether anything happened (see Classify).
//
// Durations are kept in microseconds. What is shorter is rounded up: a lock is never freed earlier than asked.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Dialect serves locks from one PostgreSQL database. It is safe for concurrent use and keeps nothing open.
type Dialect struct {
	db   *sql.DB
	pool session
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB) *Dialect {
	if db == nil {
		return &Dialect{pool: noDB{}}
	}
	return &Dialect{db: db, pool: db}
}

// Name is "postgres".
func (d *Dialect) Name() string { return "postgres" }

// SchemaVersion is the version of migrations/postgres that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 2 }

// session is what statements run on: the pool, or a transaction.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// noDB stands in for a nil *sql.DB.
type noDB struct{}

func (noDB) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, dialect.CheckDB(nil)
}

func (noDB) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, dialect.CheckDB(nil)
}

// exec runs a statement and answers how many rows it touched.
func exec(ctx context.Context, s session, query string, args ...any) (int, error) {
	result, err := s.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, withCause(ctx, err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// query runs a statement and reads its rows to the end: an error of the commit comes after the last of them.
func query[T any](ctx context.Context, s session, scan func(*sql.Rows, *T) error, text string, args ...any) ([]T, error) {
	rows, err := s.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, withCause(ctx, err)
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
	return all, withCause(ctx, rows.Err())
}

// withCause adds that ctx has ended where the driver doesn't say so: lib/pq passes on what the server answers to
// being told to cancel.
func withCause(ctx context.Context, err error) error {
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// each calls ask for every element in turn. Elements are statements of their own, each with a commit of its own, so
// no order of them can deadlock.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
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
	return fmt.Errorf("postgres: %s: %w", what, err)
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

// array is a PostgreSQL array literal of texts: a plain string, which every driver can send in every query mode.
func array(texts []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var b strings.Builder
	b.WriteByte('{')
	for i, text := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + escape.Replace(text) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}
