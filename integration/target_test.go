package integration

import (
	"database/sql"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	mymigrations "github.com/sqllock/sqllock/migrations/mysql"
	pgmigrations "github.com/sqllock/sqllock/migrations/postgres"
	litemigrations "github.com/sqllock/sqllock/migrations/sqlite"
)

// target is a database as sqllock uses it.
type target struct {
	DB      *sql.DB
	Dialect dialect.Dialect
	engine  *migrations.Engine
}

// openURL opens the database at that URL; newDialect makes the dialect for another *sql.DB of it.
func openURL(url string) (*target, error) {
	open, engine := sqlite.Open, litemigrations.Engine
	switch {
	case strings.HasPrefix(url, "postgres"):
		open, engine = postgres.Open, pgmigrations.Engine
	case strings.HasPrefix(url, "mysql"):
		open, engine = mysql.Open, mymigrations.Engine
	}
	db, err := open(url)
	if err != nil {
		return nil, err
	}
	return &target{DB: db, Dialect: newDialect(url, db), engine: engine}, nil
}

func newDialect(url string, db *sql.DB) dialect.Dialect {
	switch {
	case strings.HasPrefix(url, "postgres"):
		return postgres.New(db)
	case strings.HasPrefix(url, "mysql"):
		return mysql.New(db)
	}
	return sqlite.New(db)
}
