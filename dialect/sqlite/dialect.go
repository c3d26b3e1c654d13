// Package sqlite is the dialect for SQLite 3.42 and later, on one machine: the database is a file,
// and a file on a network disk can't be locked reliably.
//
// It is made for the driver modernc.org/sqlite, which [Open] uses. It works with other drivers
// whose errors report SQLite's result code by a method Code() int. Of errors without such a method
// it recognizes the most common ones by SQLite's own words. That is enough for
// github.com/mattn/go-sqlite3 to pass the conformance suite.
//
// SQLite has one writer at a time, and keeps no queue of those who wait. Every call waits for a
// locked database until its ctx ends, whatever busy_timeout says, and then fails as Transient.
// Heartbeats retry in bursts, so that they succeed while an application writes in a loop. While
// another connection keeps the write lock, a heartbeat takes a quarter of one CPU, and more in the
// last second before its timeout.
//
// A Guard is a write. From then until the caller's transaction ends, all other writes to the file
// wait, heartbeats included. A transaction that keeps the write lock for longer than a TTL loses
// every lock with that TTL. Keep the work after a Guard short.
//
// A goroutine that has a transaction open and requests a lock outside of it would wait for itself.
// [Dialect.OwnTx] detects this for transactions that the same goroutine began with BeginTx on any
// pool from [Open] for the same file. Transactions on other pools, and those begun with a BEGIN
// statement, look like those of other processes. A call waits for them until ctx ends. The error
// then says that this process has the lock, where the kernel shows it (Linux).
//
// The clock has a resolution of milliseconds. Durations are kept in microseconds, rounded up.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Dialect serves locks from one SQLite database. It is safe for concurrent use.
type Dialect struct {
	db       *sql.DB
	pool     engine.Session
	kept     *engine.Prepared
	sql      statements
	writers  writers
	fileName atomic.Pointer[string]
}

var (
	_ dialect.Dialect   = (*Dialect)(nil)
	_ dialect.TxLocker  = (*Dialect)(nil)
	_ dialect.Checker   = (*Dialect)(nil)
	_ dialect.Locator   = (*Dialect)(nil)
	_ dialect.OneWriter = (*Dialect)(nil)
	_ dialect.SQLPool   = (*Dialect)(nil)
)

// New returns the dialect for db, which the caller still has to close. It doesn't access the
// database and never fails. Probe reports a db that is nil or can't serve locks. Every other call
// on a nil db returns an error.
func New(db *sql.DB) *Dialect {
	kept := &engine.Prepared{DB: db}
	return &Dialect{db: db, pool: kept, kept: kept, sql: queries, writers: writers{queue: make(chan struct{}, 1)}}
}

// Close releases the prepared statements, without waiting for those in use. The *sql.DB stays open
// and the dialect stays usable: it prepares its statements again. The error is always nil.
func (d *Dialect) Close() error {
	d.kept.Forget()
	return nil
}

// DB returns the pool that the dialect was made with.
func (d *Dialect) DB() *sql.DB { return d.db }

// Name returns "sqlite".
func (d *Dialect) Name() string { return "sqlite" }

// SchemaVersion returns the version of migrations/sqlite that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 8 }

// each calls ask for every element, and adds to an error what was tried.
func each[In, Out any](what string, in []In, ask func(In) (Out, error)) ([]Out, error) {
	out, err := engine.Each(in, ask)
	return out, fail(what, err)
}

// eachRead is each for reads. A read waits while others keep the database locked.
func eachRead[In, Out any](
	ctx context.Context, d *Dialect, what string, in []In, ask func(In) (Out, error),
) ([]Out, error) {
	return each(what, in, func(one In) (Out, error) {
		return whenFree(ctx, d.file(), func() (Out, error) { return ask(one) })
	})
}

// eachWrite is each for writes. Each element waits for its turn.
func eachWrite[In, Out any](
	ctx context.Context, d *Dialect, what string, in []In, ask func(engine.Session, In) (Out, error),
) ([]Out, error) {
	return each(what, in, func(one In) (Out, error) {
		return write(ctx, d, func(s engine.Session) (Out, error) { return ask(s, one) })
	})
}

// fail adds to an error what was tried, and keeps the cause for Classify.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}
