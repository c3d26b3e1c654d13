// Package postgres is the dialect for PostgreSQL 14 and later.
//
// It works with an *sql.DB of any driver that speaks PostgreSQL and whose errors have an SQLState method: pgx (its
// stdlib package, in every query mode) and lib/pq. It keeps no session state and prepares no statement itself, so it
// works through poolers in transaction mode, PgBouncer among them. Prefer pgx: with lib/pq, or
// pgx wrapped in another driver, more failures leave it unknown whether anything happened (see Classify).
//
// Session locks and wake-ups are the exception: they need a connection that stays the same, and OpenSession and OpenWakes
// make sure that it does.
// Session and transaction locks are advisory locks, under a 64-bit hash of their kind and name, in one database. Of a
// million names in use at the same time, two have the same hash with a probability of 3 in 100 million; they are then
// one lock, which costs waiting and no safety. An application's own advisory locks meet one of them no more often.
//
// Durations are kept in microseconds. What is shorter is rounded up: a lock is never freed earlier than asked.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Dialect serves locks from one PostgreSQL database. It is safe for concurrent use and keeps nothing open.
type Dialect struct {
	db     *sql.DB
	pool   engine.Session
	dialer dialer
	tried  atomic.Bool // sessions were found to be what they promise
	crowd  crowd
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
	_ dialect.Checker       = (*Dialect)(nil)
	_ dialect.Waker         = (*Dialect)(nil)
)

// Option is a setting of New.
type Option func(*Dialect)

// WithConnector says how session locks connect. It is needed where db's driver isn't pgx, and where db has hooks for
// each connection (OptionBeforeConnect and the like): without it a session connects the way that a connection of db
// did when it was looked at.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) { d.dialer.given = connector }
}

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB, options ...Option) *Dialect {
	d := &Dialect{db: db, pool: db}
	if db == nil {
		d.pool = engine.NoDB{}
	}
	for _, option := range options {
		option(d)
	}
	return d
}

// Name is "postgres".
func (d *Dialect) Name() string { return "postgres" }

// SchemaVersion is the version of migrations/postgres that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 4 }

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
