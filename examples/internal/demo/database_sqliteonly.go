//go:build sqliteonly

package demo

import (
	"database/sql"
	"errors"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
)

// Database is an SQLite database that an example runs on. An example that is built with the tag
// sqliteonly links no other engine, which saves much of the time that the first build takes.
type Database struct {
	Dialect    dialect.Dialect
	DB         *sql.DB
	Migrations *migrations.Engine
}

func openURL(url string) (*Database, error) {
	if !strings.HasPrefix(url, "sqlite://") {
		return nil, errors.New("this program was built for SQLite only: build it without -tags=sqliteonly")
	}
	db, err := sqlite.Open(url)
	if err != nil {
		return nil, err
	}
	return &Database{sqlite.New(db), db, sqlitemigrations.Engine}, nil
}
