package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/sqltext"
)

// Table is the name of the table that holds the version of sqllock's own tables.
const Table = "sqllock_schema_migrations"

// Engine describes the migrations of one SQL engine and how to apply them. Programs use the
// variable Engine of one of the packages below this one. The fields are for authors of another
// engine.
type Engine struct {
	// Name is the engine's short name, such as "postgres".
	Name string

	// Files are the migrations, NNNN_name.up.sql and NNNN_name.down.sql.
	Files fs.FS

	// Driver returns golang-migrate's driver with table as its version table, or schema_migrations
	// if table is empty. Its error wraps [dialect.ErrInvalid].
	Driver func(table string) (Driver, error)

	// TryLock tries to take the lock under which one process at a time migrates the tables that
	// table counts. It reports false if another process holds the lock. It does not wait. After an
	// error the connection is discarded.
	TryLock func(ctx context.Context, conn *sql.Conn, table string) (bool, error)

	// Unlock releases the lock. After an error the connection is discarded.
	Unlock func(ctx context.Context, conn *sql.Conn, table string) error

	// Transactional reports whether DDL can be rolled back. If so, TryLock begins a transaction and
	// Unlock commits it. Every transaction that Driver begins in between is a savepoint, written as
	// Savepoint says.
	Transactional bool
	Savepoint     Savepoint

	// Transaction is how a migration of the application is applied in one transaction with its
	// version.
	Transaction Transaction

	// Syntax is the engine's lexical syntax, as far as it is needed to find the statements of a
	// migration.
	Syntax sqltext.Syntax

	// Exec, if not nil, executes a migration's text in place of the driver. It makes sure that the
	// server never waits for data from us that doesn't come, and that the end of ctx cancels the
	// statement in the server. It returns [driver.ErrSkip] for a type of connection that it doesn't
	// know.
	Exec func(ctx context.Context, conn driver.Conn, text string) error

	// Drop is how all tables are dropped, where golang-migrate's driver doesn't do it.
	Drop Drop

	// Session is how another connection finds the session that migrates.
	Session Session

	// HasTable is a query that counts the tables with the name in its parameter.
	HasTable string

	// History is how the history of an application's migrations is kept.
	History HistoryTable

	// Parse reads a database URL, in any form that sqllock or golang-migrate's command accepts. It
	// honors golang-migrate's own parameters (x-migrations-table and the like) or refuses them by
	// name. Its error wraps [dialect.ErrInvalid] and hides the password.
	Parse func(url string) (*Settings, error)

	// Statements are those of Driver's own lock. They are zero if the driver sends none.
	Statements LockStatements

	// Dialect takes locks in db, under which the application's migrations are applied: see [Run].
	Dialect func(db *sql.DB) dialect.Dialect

	// Scope is a query for the schema, which distinguishes tables of the same name in one database.
	// It is empty if the engine has no schemas.
	Scope string

	// Single is for an *sql.DB that accepts one statement at a time.
	Single Single

	// NoScope is the error if Scope returns an empty text, because no table can be created then.
	NoScope error

	// Wait sets the least time for which a statement on conn waits while another connection has
	// locked the whole database. conn is used for nothing else. Wait is nil if the engine has no
	// such lock.
	Wait func(ctx context.Context, conn *sql.Conn, least time.Duration) error

	// EndSession tells an operator how to end another client's session, given the server's own
	// number of the session.
	EndSession string

	// SeeSession names the privilege that an account needs to see which session holds a lock. It is
	// empty if every account may see that.
	SeeSession string

	// Hint says what is likely to be wrong with a file's text that the server refused with err, and
	// what to do about it. It returns "" if nothing is known. query returns the values of the first
	// column, and none if the query fails. Hint may be nil.
	Hint func(err error, text string, query func(query string) []string) string

	// File reports whether the database is a file. If it doesn't respond, another process is
	// writing it.
	File bool

	// Position reads from the server's error where in the text the error is. line and column count
	// from 1; 0 means unknown.
	Position func(err error, text string) (line, column int)
}

// Drop is how all tables are dropped.
type Drop struct {
	Tables        string // a query for their names, quoted
	Before, After string // statements outside the transaction
}

// Transaction is how a migration is applied in one transaction with its version.
type Transaction struct {
	Begin, Commit, Rollback string // Rollback is also sent if the server may have rolled back already

	// Wrap adapts a migration's text to the transaction. If it is nil the text is sent unchanged.
	Wrap func(text string) Wrap

	// Refused reports whether an error says that a statement can't run in a transaction. The
	// migration is then applied once more, outside a transaction.
	Refused func(err error) bool

	// Busy reports whether an error says that another connection has locked the whole database, so
	// that the statement (Begin or a read of the version, for example) should be tried again. It is
	// nil if the engine has no such lock.
	Busy func(err error) bool

	// Over reports whether an error of Rollback says that there is no transaction any more. It is
	// nil if no error says that.
	Over func(err error) bool

	// Ended reports whether the connection is outside any transaction, as far as the driver knows.
	// It is nil if the driver can't tell.
	Ended func(conn driver.Conn) bool
}

// Wrap is a migration's text as it is sent in a transaction.
type Wrap struct {
	Begin string // sent in place of Transaction.Begin, if not empty
	Text  string // sent in place of the file's text: unchanged, or with pieces of it blanked out
	Apart string // why the text can't run in a transaction; empty if it can
}

// scope returns the result of the query Scope.
func (e *Engine) scope(ctx context.Context, conn *sql.Conn) (scope string, err error) {
	if e.Scope == "" {
		return "", nil
	}
	if err := conn.QueryRowContext(ctx, e.Scope).Scan(&scope); err != nil {
		return "", &ConnectError{Err: err}
	}
	if scope == "" {
		return "", e.NoScope
	}
	return scope, nil
}

// late returns the error for a database that hasn't responded within the lock timeout.
func (e *Engine) late(timeout time.Duration, err error) error {
	if e.File {
		return &LockTimeoutError{Timeout: timeout, Err: err}
	}
	return &SlowError{Timeout: timeout, Err: err}
}

// LockStatements are the statements that golang-migrate's driver sends for its own lock.
type LockStatements struct {
	Take, Release string // as it sends them
	Try           string // sent in place of Take: doesn't wait, and returns whether it got the lock
	None          string // sent in place of Take: takes no lock, and returns that it did
	Busy          string // prefix of the driver's error if Try didn't get the lock, if not database.ErrLocked

	// Session reports whether the lock belongs to a session. Behind a pooler that shares sessions
	// such a lock may stay with a session of another client.
	Session bool
}

// Latest returns the version that the newest of the engine's migrations leads to. It panics if the
// embedded files are broken, which is a mistake in the engine's package.
func (e *Engine) Latest() uint {
	files, err := load(e.Files)
	if err != nil {
		panic("migrations/" + e.Name + ": " + err.Error())
	}
	return files[len(files)-1].Version
}

var create = regexp.MustCompile(`(?i)\bCREATE\s[\w\s]*?\b(TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(sqllock_\w+)`)

// made is a table or view that a migration creates.
type made struct{ kind, name string } // kind is TABLE or VIEW

// tables returns the tables and views that the migrations create, the last one first.
func (e *Engine) tables() ([]made, error) {
	files, err := load(e.Files)
	if err != nil {
		return nil, err
	}
	var all []made
	for _, f := range files {
		text, err := fs.ReadFile(e.Files, f.Up)
		if err != nil {
			return nil, err
		}
		for _, match := range create.FindAllSubmatch(text, -1) {
			all = append(all, made{strings.ToUpper(string(match[1])), string(match[2])})
		}
	}
	slices.Reverse(all)
	return all, nil
}
