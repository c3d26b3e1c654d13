// Package sqlserver is the dialect for SQL Server 2019 and later and for Azure SQL, through
// github.com/microsoft/go-mssqldb.
//
// Nothing depends on the session's language, SET options or isolation level, except that Probe refuses
// IMPLICIT_TRANSACTIONS; nor on whether the database keeps row versions. Where it doesn't (READ_COMMITTED_SNAPSHOT is
// off, as a new database of a SQL Server has it), Look and List may show what isn't committed yet: else they would wait
// for every transaction that guards a lock.
//
// The clock is SYSUTCDATETIME(), read once before a statement waits for a row. All statements are written so that this
// errs on the safe side: a lease is buried later than it might be, and a heartbeat gives less.
//
// Durations are kept in microseconds. What is shorter is rounded up: a lock is never freed earlier than asked. None may
// be longer than 68 years. Names are compared byte for byte, except that T-SQL takes no notice of spaces at their end;
// List sorts as Latin1_General_100_BIN2 does.
package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf16"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Dialect serves locks from one SQL Server database. It is safe for concurrent use and keeps nothing open.
type Dialect struct {
	db        *sql.DB
	pool      engine.Session
	connector driver.Connector     // nil: session locks are refused
	versioned atomic.Pointer[bool] // nil until asked
	proven    atomic.Bool          // session locks keep others out
}

var (
	_ dialect.Dialect       = (*Dialect)(nil)
	_ dialect.SessionLocker = (*Dialect)(nil)
	_ dialect.TxLocker      = (*Dialect)(nil)
)

// Option is a setting of New.
type Option func(*Dialect)

// WithConnector says how session locks connect, which have connections of their own: Connector's, or the
// *mssql.Connector that db was made of. Without it they are refused.
func WithConnector(connector driver.Connector) Option {
	return func(d *Dialect) { d.connector = connector }
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

// Name is "sqlserver".
func (d *Dialect) Name() string { return "sqlserver" }

// SchemaVersion is the version of migrations/sqlserver that the statements were written for.
func (d *Dialect) SchemaVersion() uint { return 4 }

// text is a string parameter that the server always sees as of the same type. As a plain string it would be an
// nvarchar as long as it is, and each length would be compiled and kept in the server's plan cache by itself.
type text = mssql.NVarCharMax

// query runs a statement and reads its rows to the end: an error may come after them. What a statement did is counted
// by the rows of its OUTPUT, and not by the server's row counts, which SET NOCOUNT silences.
func query[T any](ctx context.Context, s engine.Session, scan func(*sql.Rows, *T) error, statement string, args ...any) ([]T, error) {
	all, err := engine.Query(ctx, s, scan, statement, args...)
	return all, withCause(ctx, err)
}

// exec runs a statement and answers how many rows it touched, which are those of its OUTPUT clause.
func exec(ctx context.Context, s engine.Session, statement string, args ...any) (int, error) {
	rows, err := query(ctx, s, engine.One[int64], statement, args...)
	return len(rows), err
}

// withCause adds that ctx has ended where the driver doesn't say so: it complains of a server that didn't confirm the
// cancellation.
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
	return fmt.Errorf("sqlserver: %s: %w", what, err)
}

// texts is for a server with ANSI_WARNINGS off, which would cut and store what is too long. It counts as UTF-16 does.
var texts = engine.Texts{Length: func(s string) int { return len(utf16.Encode([]rune(s))) }}
