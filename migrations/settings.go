package migrations

import (
	"database/sql"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
)

// Driver is golang-migrate's driver with its settings.
type Driver struct {
	// New creates the driver on db, which has one connection, the one that holds the lock. The
	// driver may close db. table is the version table's name as statements need it.
	New func(db *sql.DB) (driver database.Driver, table string, err error)

	// Name is the version table's name, and Schema its schema if that isn't the connection's
	// default. They are the same for all processes that use the table, however their URLs write its
	// name.
	Name, Schema string
}

// Settings are the settings in a database URL, including golang-migrate's own parameters
// (x-migrations-table and the like).
type Settings struct {
	Driver

	// Open opens a pool for the application's migrations. Locks opens one for their lock, and
	// returns the dialect that takes the lock there.
	Open  func() (*sql.DB, error)
	Locks func() (*sql.DB, dialect.Dialect, error)

	// Refused, if not nil, replaces Transaction.Refused.
	Refused func(err error) bool

	// Apart is the reason why migrations can't share a transaction with their version. It is empty
	// if they can.
	Apart string
}
