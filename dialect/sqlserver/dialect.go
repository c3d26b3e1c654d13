// Package sqlserver is the dialect for SQL Server 2019 and later and for Azure SQL, through
// github.com/microsoft/go-mssqldb.
//
// Nothing depends on the session's language, SET options or isolation level, except that Probe
// refuses IMPLICIT_TRANSACTIONS. Nothing depends on whether the database keeps row versions either.
// If it doesn't (READ_COMMITTED_SNAPSHOT is off, as in a new database of SQL Server), Get and List
// may show uncommitted rows: otherwise they would wait for every transaction that guards a lock.
//
// The clock is SYSUTCDATETIME(), read once, before a statement waits for a row. All statements are
// written so that this errs on the safe side: a lease expires later than it might, and a heartbeat
// extends it by less.
//
// Durations are kept in microseconds, rounded up: a lock is never freed earlier than requested. The
// maximum is 68 years. Names are compared byte for byte, except that T-SQL ignores spaces at their
// end. List sorts as Latin1_General_100_BIN2 does.
package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"
	"unicode/utf16"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Dialect serves locks from one SQL Server database. It is safe for concurrent use and keeps
// nothing open.
type Dialect struct {
	churn     engine.Churn
	db        *sql.DB
	pool      engine.Session
	connector driver.Connector     // for session locks, which are refused if it is nil
	versioned atomic.Pointer[bool] // nil until read
	proven    atomic.Bool          // session locks have been seen to exclude others
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
	_ dialect.Locator       = (*Dialect)(nil)
	_ dialect.SQLPool       = (*Dialect)(nil)
)

// Option is an option of [New].
type Option func(*Dialect)

// WithConnector sets the connector for session locks, which have connections of their own: that of
// [Connector], or the *mssql.Connector that db was made from. Without it session locks are refused.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) { d.connector = connector }
}

// New returns the dialect for db, which the caller still has to close. It doesn't access the
// database and never fails. Probe reports a db that is nil or can't serve locks. Every other call
// on a nil db returns an error.
func New(db *sql.DB, options ...Option) *Dialect {
	d := &Dialect{db: db, pool: leaving{engine.Pool(db)}, churn: engine.NewChurn(db)}
	if db == nil {
		d.pool = engine.NoDB{}
	}
	for _, option := range options {
		option(d)
	}
	return d
}

// DB returns the pool that the dialect was made with.
func (d *Dialect) DB() *sql.DB { return d.db }

// Name returns "sqlserver".
func (d *Dialect) Name() string { return "sqlserver" }

// SchemaVersion returns the version of migrations/sqlserver that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 8 }

// leaving lets a caller leave when its ctx ends. The driver itself then waits until the server has
// confirmed the cancellation, which a server that is frozen or cut off never does.
type leaving struct{ engine.Session }

// ReadRows runs a query and calls read with its rows.
func (l leaving) ReadRows(ctx context.Context, read func(dialect.Rows) error, query string, args ...any) error {
	if ctx.Done() == nil {
		return engine.ReadRows(ctx, l.Session, read, query, args...)
	}
	done := make(chan error, 1)
	go func() { done <- engine.ReadRows(ctx, l.Session, read, query, args...) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // it has just ended
		return err
	case <-time.After(confirmWithin):
		return ctx.Err()
	}
}

// confirmWithin is for how long a caller waits for the server to confirm that a statement was
// canceled.
const confirmWithin = 20 * time.Millisecond

// text is a string parameter that always has the same type for the server. A plain string would be
// an nvarchar of its own length, and the server would compile the statement for each length and
// keep each in its plan cache.
type text = mssql.NVarCharMax

// query runs a statement and reads its rows to the end, since an error may come after them. The
// effect of a statement is counted by the rows of its OUTPUT, and not by the server's row counts,
// which SET NOCOUNT suppresses. If ctx has ended, the driver may report that the server didn't
// confirm the cancellation instead of the cancellation itself; query adds the cause.
func query[T any](
	ctx context.Context, s engine.Session, scan func(dialect.Rows, *T) error, statement string, args ...any,
) ([]T, error) {
	all, err := engine.Query(ctx, s, scan, statement, args...)
	return all, engine.WithCause(ctx, err)
}

// exec runs a statement and returns how many rows it has changed: the rows of its OUTPUT clause.
func exec(ctx context.Context, s engine.Session, statement string, args ...any) (int, error) {
	rows, err := query(ctx, s, engine.One[int64], statement, args...)
	return len(rows), err
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
	return fmt.Errorf("sqlserver: %s: %w", what, err)
}

// texts checks lengths for a server with ANSI_WARNINGS off, which would truncate and store long
// texts. It counts UTF-16 code units.
var texts = engine.Texts{Length: func(s string) int { return len(utf16.Encode([]rune(s))) }}
