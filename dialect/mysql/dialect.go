// Package mysql is the dialect for MySQL 8.0 and later and for MariaDB 10.6 and later, through go-sql-driver/mysql. It
// finds out by itself which of the two it talks to.
//
// Nothing depends on the DSN's parseTime, loc, clientFoundRows or interpolateParams, on the time zone, on strict mode,
// or on the isolation level; only that under READ UNCOMMITTED, Look and List show what isn't committed yet. Each
// pooled connection keeps the statements prepared that it has used: three dozen or so, of the server's
// max_prepared_stmt_count.
//
// The server's clock is UTC_TIMESTAMP(6), which stands still while a statement waits for a row. All statements are
// written so that this errs on the safe side: a lease is buried later than it might be, and a heartbeat gives less.
//
// Durations are kept in microseconds. What is shorter is rounded up: a lock is never freed earlier than asked.
//
// Session locks are GET_LOCK's, on connections of their own: see WithConnector. Transaction locks are locked rows of
// sqllock_locks, in slot -1. Both are one server's, and so refused on Galera and in a group with several primaries.
//
// With binlog_format=STATEMENT MySQL complains in its log about SKIP LOCKED; MIXED and ROW, the defaults, are
// fine. On Galera the locks are the cluster's. In a MySQL group with several primaries they are only if
// group_replication_consistency is BEFORE or stricter, or if all processes connect to the same member: elsewhere a
// lease that is too new for a member to know of it looks dead.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Dialect serves locks from one MySQL or MariaDB database. It is safe for concurrent use.
type Dialect struct {
	db        *sql.DB
	pool      *engine.Prepared
	connector driver.Connector        // of sessions; nil: there are none
	server    atomic.Pointer[flavour] // nil until asked
	rows      rows
	proven    atomic.Bool // that a lock of one session keeps another out
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
	_ dialect.Checker       = (*Dialect)(nil)
)

// Option is a setting of New.
type Option func(*Dialect)

// WithConnector says how connections are made that aren't the pool's. Session locks need it, since a *sql.DB doesn't
// tell how it connects: pass what Connector answers for the same URL, or the connector that was given to sql.OpenDB.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) { d.connector = connector }
}

// New returns the dialect for db, which stays the caller's to close. It asks the database nothing and never fails:
// Probe reports a db that is nil or can't serve locks, and until then every call on a nil db is an error.
func New(db *sql.DB, options ...Option) *Dialect {
	d := &Dialect{db: db, pool: &engine.Prepared{DB: db, Stale: stale}}
	for _, option := range options {
		option(d)
	}
	return d
}

// Name is "mysql", for MariaDB too.
func (d *Dialect) Name() string { return "mysql" }

// SchemaVersion is the version of migrations/mysql that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 4 }

// Close gives back the prepared statements and doesn't wait for those in use. The *sql.DB stays open, and the dialect
// usable: it prepares anew what it needs. The error is always nil.
func (d *Dialect) Close() error {
	d.pool.Forget()
	return nil
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
	return fmt.Errorf("mysql: %s: %w", what, err)
}

// because adds ctx's error where that has ended a call, and the driver says something else.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// texts is for a server without strict mode, which would cut and store what is too long.
var texts = engine.Texts{Length: utf8.RuneCountInString}
