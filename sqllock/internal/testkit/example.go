package testkit

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Database is the database of an example: sqllock's tables in memory, and for the
// application's own statements a driver that accepts every statement and stores nothing.
type Database struct {
	*sql.DB
	Memory *sqllocktest.Dialect
}

// NewDatabase returns an empty database.
func NewDatabase() Database { return Database{NoDatabase(), sqllocktest.New()} }

// Process returns the Client of a process of its own.
func Process(db Database, holder string) *sqllock.Client {
	options := &sqllock.Options{Holder: holder, Logger: slog.New(slog.DiscardHandler)}
	locks, err := sqllock.New(context.Background(), WithDB{Dialect: db.Memory, Pool: db.DB}, options)
	if err != nil {
		panic(err)
	}
	return locks
}

// WithDB adds to the dialect in memory what needs an *sql.DB.
type WithDB struct {
	*sqllocktest.Dialect
	Pool *sql.DB
}

// DB implements [dialect.SQLPool].
func (d WithDB) DB() *sql.DB { return d.Pool }

// LockTx implements [dialect.TxLocker] for the only transaction of an example.
func (WithDB) LockTx(context.Context, dialect.Tx, dialect.ServerLock, bool) (bool, error) {
	return true, nil
}

// Check implements [dialect.Checker].
func (WithDB) Check(context.Context) ([]dialect.Finding, error) {
	return []dialect.Finding{{What: "storage", Found: "memory", Verdict: dialect.VerdictGood}}, nil
}

// NoDatabase returns a database that accepts every statement and stores nothing.
func NoDatabase() *sql.DB { return sql.OpenDB(nowhere{}) }

// nowhere is the driver of [NoDatabase], its connections and its transactions.
type nowhere struct{}

func (nowhere) Connect(context.Context) (driver.Conn, error) { return nowhere{}, nil }
func (nowhere) Driver() driver.Driver                        { return nil }
func (nowhere) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (nowhere) Begin() (driver.Tx, error)                    { return nowhere{}, nil }
func (nowhere) Commit() error                                { return nil }
func (nowhere) Rollback() error                              { return nil }
func (nowhere) Close() error                                 { return nil }

// ExecContext implements [driver.ExecerContext].
func (nowhere) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}
