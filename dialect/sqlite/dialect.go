// Package sqlite is the dialect for SQLite 3.42 and later, on one machine: the database is a file, and a file on a
// network disk can't be locked in earnest.
//
// It is made for the driver modernc.org/sqlite, which Open uses, and works with others that report SQLite's result
// code by a method Code() int; of errors without one it knows the commonest by SQLite's own words for them. That is
// enough for github.com/mattn/go-sqlite3 to pass the conformance suite.
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

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Dialect serves locks from one SQLite database. It is safe for concurrent use.
type Dialect struct {
	db   *sql.DB
	pool engine.Session
	kept *engine.Prepared
	sql  statements
	line line
}

var (
	_ dialect.Dialect  = (*Dialect)(nil)
	_ dialect.TxLocker = (*Dialect)(nil)
	_ dialect.Checker  = (*Dialect)(nil)
)

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB) *Dialect {
	kept := &engine.Prepared{DB: db}
	return &Dialect{db: db, pool: kept, kept: kept, sql: queries, line: make(line, 1)}
}

// Close gives back the prepared statements and doesn't wait for those in use. The *sql.DB stays open, and the dialect
// usable: it prepares anew what it needs. The error is always nil.
func (d *Dialect) Close() error {
	d.kept.Forget()
	return nil
}

// Name is "sqlite".
func (d *Dialect) Name() string { return "sqlite" }

// SchemaVersion is the version of migrations/sqlite that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 4 }

// each asks for every element, and says what was asked where that fails.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	out, err := engine.Each(in, ask)
	return out, fail(what, err)
}

// eachInTurn is each for what writes: each element waits for its turn.
func eachInTurn[In, Out any](ctx context.Context, l line, what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	return each(what, in, func(one In) (Out, error) {
		return inTurn(ctx, l, func() (Out, error) { return ask(one) })
	})
}

// fail says what failed, and keeps the cause for Classify.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}
