package postgres

import (
	"database/sql"
	"net/url"
	"strconv"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	pgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/internal/dburl"
)

// openURL is a pool with all that a URL for migrateURL says, golang-migrate's own parameters left out. Statements aren't
// prepared unless it says so: behind a pooler in transaction mode the next one goes to a server that doesn't know them.
func openURL(raw string) (*sql.DB, dialect.Dialect, error) {
	rest, _ := dburl.CutMigrate(raw)
	migrate, err := migrateURL(rest)
	if err != nil {
		return nil, nil, err
	}
	u, err := url.Parse(migrate)
	if err != nil {
		return nil, nil, dburl.Unparsable(raw)
	}
	u.Scheme = "postgres"
	query := u.Query()
	if !query.Has("default_query_exec_mode") {
		query.Set("default_query_exec_mode", "exec")
	}
	u.RawQuery = query.Encode()
	db, err := postgres.Open(u.String())
	return db, postgres.New(db), err
}

// settled reads golang-migrate's parameters, as its driver does.
func settled(raw string) (func(*sql.DB) (database.Driver, error), error) {
	migrate, err := migrateURL(raw)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(migrate)
	if err != nil {
		return nil, dburl.Unparsable(raw)
	}
	s := settings{query: u.Query()}
	table := u.Query().Get("x-migrations-table")
	config := pgx.Config{
		DatabaseName:          u.Path,
		MigrationsTable:       table,
		MigrationsTableQuoted: s.boolean("x-migrations-table-quoted"),
		StatementTimeout:      time.Duration(s.number("x-statement-timeout")) * time.Millisecond,
		MultiStatementEnabled: s.boolean("x-multi-statement"),
		MultiStatementMaxSize: max(s.number("x-multi-statement-max-size"), 0),
	}
	if config.MultiStatementMaxSize == 0 {
		config.MultiStatementMaxSize = pgx.DefaultMultiStatementMaxSize
	}
	switch quoted := len(table) > 1 && table[0] == '"' && table[len(table)-1] == '"'; {
	case s.wrong != "":
		return nil, dburl.Invalid(raw, "%s has a value that can't be read", s.wrong)
	case config.MigrationsTableQuoted && table != "" && !quoted:
		return nil, dburl.Invalid(raw, `with x-migrations-table-quoted the table must be in quotes, as in "migrate"."schema_migrations"`)
	}
	return func(db *sql.DB) (database.Driver, error) {
		config := config // the driver writes into it
		return pgx.WithInstance(db, &config)
	}, nil
}

// settings are parameters with values of a type.
type settings struct {
	query url.Values
	wrong string // one that isn't
}

func (s *settings) boolean(name string) bool {
	return parse(s, name, strconv.ParseBool)
}

func (s *settings) number(name string) int {
	return parse(s, name, strconv.Atoi)
}

func parse[T any](s *settings, name string, as func(string) (T, error)) (value T) {
	text := s.query.Get(name)
	if text == "" {
		return value
	}
	value, err := as(text)
	if err != nil {
		s.wrong = name
	}
	return value
}

// migrateURL is the URL for golang-migrate's driver for pgx v5. Its command takes postgres:// to lib/pq: the
// parameters that only lib/pq knows, and that make no difference here, are taken out.
func migrateURL(raw string) (string, error) {
	rest, err := dburl.CutScheme(raw, "postgres", "postgresql", "pgx5", "pgx")
	if err != nil {
		return "", err
	}
	u, err := url.Parse("pgx5://" + rest)
	if err != nil {
		return "", dburl.Unparsable(raw)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", dburl.Invalid(raw, "%v", err)
	}
	query.Del("binary_parameters")
	query.Del("disable_prepared_binary_result")
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "10")
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
