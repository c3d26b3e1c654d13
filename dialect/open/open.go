// Package open goes from a database's URL to everything that is engine-specific: its dialect, its driver, its
// migrations. It is the only package that knows all engines, for commands and examples that take a URL. A program with
// one database uses that engine's packages directly, and links no others.
package open

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/internal/dburl"
	"github.com/sqllock/sqllock/migrations"
	mysqlmigrations "github.com/sqllock/sqllock/migrations/mysql"
	pgmigrations "github.com/sqllock/sqllock/migrations/postgres"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	mssqlmigrations "github.com/sqllock/sqllock/migrations/sqlserver"
)

// engine is what there is of one engine. URL takes schemes; also are those that only golang-migrate's command has.
type engine struct {
	schemes    []string
	also       []string
	open       func(url string) (*sql.DB, error)
	dialect    func(db *sql.DB, url string) (dialect.Dialect, error)
	migrations *migrations.Engine
	missing    func(url string) (file string, err error) // nil: to use a database never makes it
}

// Another engine is a line here.
var engines = []engine{
	{[]string{"postgres", "postgresql"}, []string{"pgx", "pgx5"}, postgres.Open, ofPostgres, pgmigrations.Engine, nil},
	{[]string{"mysql", "mariadb"}, nil, mysql.Open, connected(mysql.New, mysql.Connector, mysql.WithConnector), mysqlmigrations.Engine, nil},
	{[]string{"sqlserver", "mssql"}, nil, sqlserver.Open, connected(sqlserver.New, sqlserver.Connector, sqlserver.WithConnector), mssqlmigrations.Engine, nil},
	{[]string{"sqlite", "sqlite3"}, nil, sqlite.Open, of(sqlite.New), sqlitemigrations.Engine, sqlite.Missing},
}

func of[D dialect.Dialect](newDialect func(*sql.DB) D) func(*sql.DB, string) (dialect.Dialect, error) {
	return func(db *sql.DB, _ string) (dialect.Dialect, error) { return newDialect(db), nil }
}

// connected is of, for engines whose session locks need connections that aren't the pool's.
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

// Database is what URL answers.
type Database struct {
	Dialect    dialect.Dialect    // for sqllock.New
	DB         *sql.DB            // the caller's to close
	Migrations *migrations.Engine // for migrations.Up
}

// URL opens the database that a URL names:
//
//	postgres://user:password@host:port/db?sslmode=verify-full    also postgresql://
//	mysql://user:password@host:port/db?tls=true                  also mariadb://, and …@tcp(host:port)/db
//	sqlserver://user:password@host:port?database=db&encrypt=true also mssql://
//	sqlite:///abs/path.db, sqlite://rel/path.db                  also sqlite3://
//
// Each engine's Open says which settings it adds. Nothing is connected to yet, so a server that is down shows at the
// first use. An error wraps dialect.ErrInvalid, names the URL without its password, and says what is wrong with it.
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

// Migrations is the engine of a URL's scheme, among them those that only golang-migrate's command has. Its error
// is like URL's.
func Migrations(url string) (*migrations.Engine, error) {
	e, err := find(url, true)
	return e.migrations, err
}

// Missing is the file that a URL names and that isn't there, where the first use of the database would make it (SQLite): for
// commands that only look, to which a typo must not be an empty database. Empty: it is there, or a server knows. An error
// wraps dialect.ErrInvalid.
func Missing(url string) (file string, err error) {
	e, err := find(url, true)
	if err != nil || e.missing == nil {
		return "", err
	}
	return e.missing(url)
}

// Schemes lists what a URL may begin with.
func Schemes() []string {
	var schemes []string
	for _, e := range engines {
		schemes = append(schemes, e.schemes...)
	}
	return schemes
}

// Redact is url with every password in it replaced by xxxxx, for logs. The URL need not be well-formed: where it
// isn't, rather more is hidden than less.
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
