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

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Dialect serves locks from one PostgreSQL database. It is safe for concurrent use and keeps nothing open.
type Dialect struct {
	db   *sql.DB
	pool engine.Session
}

var _ dialect.Dialect = (*Dialect)(nil)

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB) *Dialect {
	if db == nil {
		return &Dialect{pool: engine.NoDB{}}
	}
	return &Dialect{db: db, pool: db}
}

// Name is "postgres".
func (d *Dialect) Name() string { return "postgres" }

// SchemaVersion is the version of migrations/postgres that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 2 }

// exec runs a statement and answers how many rows it touched.
func exec(ctx context.Context, s engine.Session, text string, args ...any) (int, error) {
	n, err := engine.Exec(ctx, s, text, args...)
	return n, withCause(ctx, err)
}

// query runs a statement and reads its rows to the end: an error of the commit comes after the last of them.
func query[T any](ctx context.Context, s engine.Session, scan func(*sql.Rows, *T) error, text string, args ...any) ([]T, error) {
	all, err := engine.Query(ctx, s, scan, text, args...)
	return all, withCause(ctx, err)
}

// withCause adds that ctx has ended where the driver doesn't say so: lib/pq passes on what the server answers to
// being told to cancel.
func withCause(ctx context.Context, err error) error {
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// each asks for every element, and says what was asked where that fails.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	out, err := engine.Each(in, ask)
	return out, fail(what, err)
}

// fail says what failed, and keeps the cause for Classify.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
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
