// Package postgres is the dialect for PostgreSQL 14 and later.
//
// It runs on a *pgxpool.Pool, without database/sql ([NewPool]), or on an *sql.DB ([New]).
//
// New works with an *sql.DB of any driver that speaks PostgreSQL and whose errors have an SQLState
// method: pgx (its stdlib package, in every query mode) and lib/pq. Prefer pgx: with lib/pq, or
// with pgx wrapped in another driver, more failures leave it unknown whether anything happened (see
// [Dialect.Classify]).
//
// # Poolers
//
// Leases, locks under leases and transaction locks need no session state. They work through poolers
// in transaction mode, such as PgBouncer. Most of these poolers lose the statements that a driver
// prepares. So if anything stands between pgx and the server, the dialect sends its own statements
// without preparing them, whatever the pool's query mode is. [Dialect.Probe] finds out whether
// anything does. If a pooler is put in between later, the dialect learns that from the first
// statements that fail. It sends its own statements again. An error in the application's
// transaction is returned, and the transaction must be begun again.
//
// The application's own statements are not affected: for these, set default_query_exec_mode=exec in
// the URL. With lib/pq, set binary_parameters=yes.
//
// Session locks and wake-ups need a connection that stays the same. [Dialect.OpenSession] and
// [Dialect.OpenListener] make sure that it does.
//
// # Advisory locks
//
// Session and transaction locks are advisory locks of one database, under a 64-bit hash of their
// kind and name. Among a million names in use at the same time, two have the same hash with a
// probability of 3 in 100 million. Two such names are one lock, which costs waiting but no safety.
// An application's own advisory lock collides with one of them no more often.
//
// # CockroachDB and YugabyteDB
//
// On a server whose version() names CockroachDB or YugabyteDB, the dialect uses a plain flavour of
// its statements: see [Plain]. It hasn't been run on these servers. Its statements follow their
// documentation, and ran in the tests on PostgreSQL. It differs in these points:
//
//   - There are only lease locks. Session locks and transaction locks are refused.
//   - Waiters poll. There are no notifications, and a release never hands a lock over.
//   - [Dialect.Guard] updates the lock's row. A second guard of the same lock waits for the end of
//     the first one's transaction.
//   - Many waiters that leave their queues cost a statement each.
//
// CockroachDB has no columns with COLLATE "C". sqllock's migrations can't create the tables there.
// Create them by hand from the same files, without that clause: CockroachDB's order is the same.
//
// # Durations
//
// Durations are stored in microseconds and rounded up, so that no lock is freed earlier than asked.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Dialect keeps locks in one PostgreSQL database. It is safe for concurrent use and keeps no
// connection open.
type Dialect struct {
	db            *sql.DB // nil if made by NewPool
	pool          *pool
	tried         atomic.Bool // a trial has shown that connections are sessions and session locks hold
	recentWaiters recentWaiters
	server        atomic.Pointer[flavour] // nil until read, or set by Plain

	readsAnywhere bool
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
	_ dialect.Checker       = (*Dialect)(nil)
	_ dialect.Locator       = (*Dialect)(nil)
	_ dialect.Notifier      = (*Dialect)(nil)
	_ dialect.SQLPool       = (*Dialect)(nil)
	_ dialect.Reconnecter   = (*Dialect)(nil)
)

// Option is a setting of [New] and [NewPool].
type Option func(*Dialect)

// ReadsAnywhere lets the reads of locks run with the right to SELECT alone. It is for a program
// that only shows locks to people: a read/write splitter may send such a read to a replica, so what
// it returns may be old, and a lock must not be taken through such a dialect.
func ReadsAnywhere() Option {
	return func(d *Dialect) { d.readsAnywhere = true }
}

// WithConnector sets how session locks and wake-ups connect. It is needed if db's driver isn't pgx,
// or if db has hooks for each connection (OptionBeforeConnect and the like). Without it, a session
// connects with the configuration of a connection of db.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) {
		if p, ok := d.pool.source.(*sqlPool); ok {
			p.given = connector
		}
	}
}

// New returns the dialect for db. The caller keeps ownership of db and closes it. New sends nothing
// to the database and never fails: [Dialect.Probe] reports a db that is nil or can't serve locks,
// and every other call on a nil db returns an error.
func New(db *sql.DB, options ...Option) *Dialect {
	d := &Dialect{db: db, pool: &pool{source: newSQLPool(db)}}
	for _, option := range options {
		option(d)
	}
	return d
}

// NewPool returns the dialect for a pool of pgx. The caller keeps ownership of the pool and closes
// it. Each statement runs on pgx, without database/sql. Session locks and wake-ups also run on pgx,
// on connections that are made as the pool's are (with its ConnConfig, BeforeConnect and
// AfterConnect). Everything else is as with [New].
//
// For a transaction of pgx, see [Tx] and [DoTx].
func NewPool(pgxPool *pgxpool.Pool, options ...Option) *Dialect {
	d := &Dialect{pool: &pool{source: newPgxPool(pgxPool)}}
	for _, option := range options {
		option(d)
	}
	return d
}

// Reconnect implements [dialect.Reconnecter]. It closes the idle connections of an *sql.DB whose
// server takes no writes, and those of a *pgxpool.Pool without asking.
func (d *Dialect) Reconnect(ctx context.Context) error { return d.pool.source.reconnect(ctx) }

// DB returns the *sql.DB that was passed to [New], or nil if the dialect was made by [NewPool].
func (d *Dialect) DB() *sql.DB { return d.db }

// Name returns "postgres".
func (d *Dialect) Name() string { return "postgres" }

// SchemaVersion returns the version of migrations/postgres that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 8 }

// exec runs a statement and returns how many rows it has changed. lib/pq doesn't report that ctx
// has ended: it returns the server's error for the canceled statement. So exec adds the ctx's
// error.
func exec(ctx context.Context, s engine.Session, text string, args ...any) (int, error) {
	n, err := engine.Exec(ctx, s, text, args...)
	return n, engine.WithCause(ctx, err)
}

// query runs a statement and reads its rows to the end, because an error of the commit comes after
// the last row.
func query[T any](
	ctx context.Context, s engine.Session, scan func(dialect.Rows, *T) error, text string, args ...any,
) ([]T, error) {
	all, err := engine.Query(ctx, s, scan, text, args...)
	return all, engine.WithCause(ctx, err)
}

// each calls ask for every element. A failure is wrapped with what was tried.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	out, err := engine.Each(in, ask)
	return out, fail(what, err)
}

// fail wraps err with what was tried. It keeps the cause for Classify, and returns nil if err is
// nil.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %s: %w", what, Explain(err))
}

// array returns a PostgreSQL array literal of texts. It is a plain string, which every driver can
// send in every query mode.
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
