// Package mysql is the dialect for MySQL 8.0.11 and later and for MariaDB 10.6 and later, through
// go-sql-driver/mysql. It detects which of the two it is connected to.
//
// Nothing depends on the DSN's parseTime, loc, clientFoundRows or interpolateParams, on the time
// zone, on strict mode, or on the isolation level, with one exception: under READ UNCOMMITTED, Get
// and List show uncommitted rows. Each pooled connection keeps the statements prepared that it has
// used: about three dozen of the server's max_prepared_stmt_count.
//
// The server's clock is UTC_TIMESTAMP(6), which stands still while a statement waits for a row. All
// statements are written so that this errs on the safe side: a lease expires later than it might,
// and a heartbeat extends it by less.
//
// Durations are kept in microseconds, rounded up: a lock is never freed earlier than requested.
//
// Session locks are GET_LOCK's, on connections of their own; see [WithConnector]. Transaction locks
// are locked rows of sqllock_locks, in slot -1. Both are local to one server, and therefore refused
// on Galera and in a group with several primaries.
//
// With binlog_format=STATEMENT MySQL complains in its log about SKIP LOCKED. MIXED and ROW, the
// defaults, are fine. On Galera, lease locks hold in the whole cluster. In a MySQL group with
// several primaries, they hold in the whole group only if group_replication_consistency is BEFORE
// or stricter, or if all processes connect to the same member. Otherwise a lease looks dead to a
// member that hasn't received it yet.
//
// TiDB gets statements of its own, each in a transaction, with the cluster's clock. They were run
// on MySQL, and not on TiDB itself: see docs/clusters.md.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Dialect serves locks from one MySQL or MariaDB database. It is safe for concurrent use.
type Dialect struct {
	churn     engine.Churn
	db        *sql.DB
	pool      *pool
	connector driver.Connector        // for sessions; nil if there are none
	server    atomic.Pointer[flavour] // nil until read
	clock     *clock                  // WithTiDB's; otherwise nil
	rows      rows
	proven    atomic.Bool // a lock of one session has been seen to exclude another
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
	_ dialect.Checker       = (*Dialect)(nil)
	_ dialect.Locator       = (*Dialect)(nil)
	_ dialect.SQLPool       = (*Dialect)(nil)
	_ dialect.Reconnecter   = (*Dialect)(nil)
)

// Option is an option of [New].
type Option func(*Dialect)

// WithConnector sets the connector for connections outside of the pool. Session locks need it,
// since a *sql.DB doesn't reveal how it connects. Pass what [Connector] returns for the same URL,
// or the connector that was given to sql.OpenDB.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) { d.connector = connector }
}

// New returns the dialect for db, which the caller still has to close. It doesn't access the
// database and never fails. Probe reports a db that is nil or can't serve locks. Every other call
// on a nil db returns an error.
func New(db *sql.DB, options ...Option) *Dialect {
	d := &Dialect{db: db, churn: engine.NewChurn(db)}
	d.pool = &pool{engine.Prepared{DB: db, Stale: stale}, d}
	for _, option := range options {
		option(d)
	}
	return d
}

// DB returns the pool that the dialect was made with.
func (d *Dialect) DB() *sql.DB { return d.db }

// Name returns "mysql", for MariaDB too.
func (d *Dialect) Name() string { return "mysql" }

// SchemaVersion returns the version of migrations/mysql that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 8 }

// Close releases the prepared statements, without waiting for those in use. The *sql.DB stays open
// and the dialect stays usable: it prepares its statements again. The error is always nil.
func (d *Dialect) Close() error {
	d.pool.Forget()
	return nil
}

// Reconnect implements [dialect.Reconnecter]. The primary of a group that a switchover demotes
// keeps its connections and is read-only from then on.
func (d *Dialect) Reconnect(ctx context.Context) error {
	return engine.Reconnect(ctx, d.db, sqlReadOnly, nil)
}

// each calls ask for every element, and adds to an error what was tried.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	out, err := engine.Each(in, ask)
	return out, fail(what, err)
}

// fail adds to an error what was tried, and keeps the cause for Classify.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mysql: %s: %w", what, err)
}

// texts checks lengths for a server without strict mode, which would truncate and store long texts.
var texts = engine.Texts{Length: utf8.RuneCountInString}
