// Package open opens everything engine-specific by a database URL: the dialect, the driver, the
// migrations. It is the only package that knows all engines, for commands and examples that take a
// URL. A program with one database uses that engine's packages directly, and links no others.
package open

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dburl"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/migrations"
	mysqlmigrations "github.com/sqllock/sqllock/migrations/mysql"
	pgmigrations "github.com/sqllock/sqllock/migrations/postgres"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	mssqlmigrations "github.com/sqllock/sqllock/migrations/sqlserver"
)

// engine is one engine. URL accepts schemes. The schemes in also are only for golang-migrate's
// command.
type engine struct {
	schemes    []string
	also       []string
	open       func(url string) (*sql.DB, error)
	dialect    func(db *sql.DB, url string) (dialect.Dialect, error)
	migrations *migrations.Engine
	missing    func(url string) (file string, err error) // nil if using a database never creates it
}

// A new engine is a line here.
var engines = []engine{
	{[]string{"postgres", "postgresql"}, []string{"pgx", "pgx5"}, postgres.Open, ofPostgres, pgmigrations.Engine, nil},
	{
		[]string{"mysql", "mariadb"},
		nil, mysql.Open, connected(mysql.New, mysql.Connector, mysql.WithConnector),
		mysqlmigrations.Engine, nil,
	},
	{
		[]string{"sqlserver", "mssql"},
		nil, sqlserver.Open,
		connected(sqlserver.New, sqlserver.Connector, sqlserver.WithConnector), mssqlmigrations.Engine, nil,
	},
	{[]string{"sqlite", "sqlite3"}, nil, sqlite.Open, of(sqlite.New), sqlitemigrations.Engine, sqlite.Missing},
}

func of[D dialect.Dialect](newDialect func(*sql.DB) D) func(*sql.DB, string) (dialect.Dialect, error) {
	return func(db *sql.DB, _ string) (dialect.Dialect, error) { return newDialect(db), nil }
}

// connected is of for engines whose session locks need connections outside of the pool.
func connected[D dialect.Dialect, Option any](newDialect func(*sql.DB, ...Option) D,
	connector func(url string) (driver.Connector, error), with func(driver.Connector) Option,
) func(*sql.DB, string) (dialect.Dialect, error) {
	return func(db *sql.DB, url string) (dialect.Dialect, error) {
		c, err := connector(url)
		if err != nil {
			return nil, err
		}
		return newDialect(db, with(c)), nil
	}
}

func ofPostgres(db *sql.DB, _ string) (dialect.Dialect, error) { return postgres.New(db), nil }

// Database is the result of [URL].
type Database struct {
	Dialect    dialect.Dialect    // for sqllock.New
	DB         *sql.DB            // to be closed by the caller
	Migrations *migrations.Engine // for migrations.Up
}

// URL opens the database that a URL names:
//
//	postgres://user:password@host:port/db?sslmode=verify-full     also postgresql://
//	mysql://user:password@host:port/db?tls=true                   also mariadb://
//	mysql://user:password@tcp(host:port)/db                       go-sql-driver's own form
//	sqlserver://user:password@host:port?database=db&encrypt=true  also mssql://
//	sqlite:///abs/path.db, sqlite://rel/path.db                   also sqlite3://
//
// Each engine's Open documents the settings that it adds. URL doesn't connect, so a server that is
// down shows at the first use. An error wraps [dialect.ErrInvalid], names the URL without its
// password, and says what is wrong with it.
func URL(url string) (*Database, error) {
	e, err := find(url, false)
	if err != nil {
		return nil, err
	}
	db, err := e.open(url)
	if err != nil {
		return nil, err
	}
	d, err := e.dialect(db, url)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Database{Dialect: d, DB: db, Migrations: e.migrations}, nil
}

// Reading opens the database that a URL names for a program that only shows locks to people: the
// right to SELECT is enough. Its errors are those of [URL].
func Reading(url string) (*Database, error) {
	d, err := URL(url)
	if err == nil && d.Migrations == pgmigrations.Engine {
		d.Dialect = postgres.New(d.DB, postgres.ReadsAnywhere())
	}
	return d, err
}

// Migrations returns the engine of a URL's scheme, including the schemes that only golang-migrate's
// command has. Its errors are those of [URL].
func Migrations(url string) (*migrations.Engine, error) {
	e, err := find(url, true)
	return e.migrations, err
}

// Missing returns the file that a URL names if that file doesn't exist and the first use of the
// database would create it (SQLite). It is for commands that only read, for which a typo must not
// create an empty database. It returns "" if the file exists or the database is on a server. An
// error wraps [dialect.ErrInvalid].
func Missing(url string) (file string, err error) {
	e, err := find(url, true)
	if err != nil || e.missing == nil {
		return "", err
	}
	return e.missing(url)
}

// Schemes returns the schemes that a URL may begin with.
func Schemes() []string {
	var schemes []string
	for _, e := range engines {
		schemes = append(schemes, e.schemes...)
	}
	return schemes
}

// Redact returns url with every password in it replaced by xxxxx, for logs. The URL need not be
// well-formed: if it isn't, Redact hides too much rather than too little.
func Redact(url string) string { return dburl.Redact(url) }

func find(url string, also bool) (engine, error) {
	scheme, _, err := dburl.Cut(url)
	if err == nil {
		for _, e := range engines {
			if slices.Contains(e.schemes, scheme) || also && slices.Contains(e.also, scheme) {
				return e, nil
			}
		}
	}
	return engine{}, fmt.Errorf("%w: database URL %q: it must begin with %s://", dialect.ErrInvalid, dburl.Redact(url),
		strings.Join(Schemes(), "://, "))
}
