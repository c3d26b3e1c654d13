package migrations

import (
	"context"
	"database/sql"
	"io/fs"
	"regexp"
	"slices"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
)

// Table holds the version of sqllock's own tables.
const Table = "sqllock_schema_migrations"

// Engine is the migrations of one SQL engine, and what has to be known of it to apply them. Programs take the value
// Engine of one of the packages below this one; the fields are for who adds another.
type Engine struct {
	// Name is the engine's short name: "postgres".
	Name string

	// Files are the migrations, NNNN_name.up.sql and NNNN_name.down.sql.
	Files fs.FS

	// Driver is golang-migrate's driver on db, with its version in table. db is one connection, the one that holds
	// the lock; the driver may close it.
	Driver func(db *sql.DB, table string) (database.Driver, error)

	// TryLock takes the lock under which one process alone migrates what table counts, and answers false if another
	// has it. It doesn't wait. After an error the connection is thrown away.
	TryLock func(ctx context.Context, conn *sql.Conn, table string) (bool, error)

	// Unlock gives the lock back. After an error the connection is thrown away.
	Unlock func(ctx context.Context, conn *sql.Conn, table string) error

	// Transactional: DDL can be rolled back. TryLock then begins a transaction and Unlock commits it; in between
	// every transaction that Driver begins is a savepoint of it, written as Savepoint says.
	Transactional bool
	Savepoint     Savepoint

	// HasTable is a query that counts the tables which have the name that is its parameter.
	HasTable string

	// MigrateURL turns a database URL, in any form that sqllock or golang-migrate's command takes, into the one that
	// golang-migrate's driver takes. Its error wraps dialect.ErrInvalid and hides the password.
	MigrateURL func(url string) (string, error)

	// Settled is golang-migrate's driver with the settings of its own that a URL has (x-migrations-table and the like), on a
	// db that Open has made of that URL. It is nil where golang-migrate may open the URL itself, because its driver doesn't
	// wait in the server for long; then NoLock is the setting, if there is one, with which it takes no lock.
	Settled func(url string) (func(db *sql.DB) (database.Driver, error), error)
	NoLock  string

	// Statements are those of Driver's own lock; zero where it sends none.
	Statements LockStatements

	// Dialect takes locks in db, under which the application's migrations are applied: see Run. Open makes both, of a URL as
	// MigrateURL takes it.
	Dialect func(db *sql.DB) dialect.Dialect
	Open    func(url string) (*sql.DB, dialect.Dialect, error)

	// Scope is a query for what tells tables of one name in a database apart: its schema. Empty where nothing does.
	Scope string

	// Several are two statements in one text that do nothing, for finding out whether an *sql.DB takes that; empty where
	// every one does.
	Several string

	// EndSession says to people how to end the session of another client, of which the server's own number is known.
	EndSession string

	// SeeSession is what an account needs to see the number of the session that holds a lock; empty where every account may.
	SeeSession string

	// Position finds out from the server's error where in the text that was sent it lies: line and column from 1, 0
	// where it is unknown.
	Position func(err error, text string) (line, column int)
}

// LockStatements are what golang-migrate's driver sends for its own lock.
type LockStatements struct {
	Take, Release string // as it sends them
	Try           string // in place of Take: it doesn't wait, and answers whether it got the lock
	None          string // in place of Take: it takes no lock, and answers that it did
	Busy          string // how the driver's error begins where Try didn't get the lock, if that isn't database.ErrLocked

	// Session: the lock is one session's, so behind a pooler that parts statements it stays with somebody else.
	Session bool
}

// Latest is the version that the newest of the engine's migrations leads to. It panics if the embedded files are
// broken, which is a mistake in the engine's package.
func (e *Engine) Latest() uint {
	files, err := load(e.Files)
	if err != nil {
		panic("migrations/" + e.Name + ": " + err.Error())
	}
	return files[len(files)-1].Version
}

var createTable = regexp.MustCompile(`(?i)\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(sqllock_\w+)`)

// tables are those that the migrations create, the last one first.
func (e *Engine) tables() ([]string, error) {
	files, err := load(e.Files)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		text, err := fs.ReadFile(e.Files, f.Up)
		if err != nil {
			return nil, err
		}
		for _, match := range createTable.FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
	}
	slices.Reverse(names)
	return names, nil
}
