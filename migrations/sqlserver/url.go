package sqlserver

import (
	"database/sql"

	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/sqlserver"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/internal/dburl"
)

// openURL is a pool with all that a URL for migrateURL says, golang-migrate's own parameters left out.
func openURL(raw string) (*sql.DB, dialect.Dialect, error) {
	rest, _ := dburl.CutMigrate(raw)
	connector, err := sqlserver.Connector(rest)
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(connector)
	return db, sqlserver.New(db, sqlserver.WithConnector(connector)), nil
}

// settled reads golang-migrate's parameters, as its driver does.
func settled(raw string) (func(*sql.DB) (database.Driver, error), error) {
	u, err := dburl.SQLServer(raw)
	if err != nil {
		return nil, err
	}
	if msi, found := dburl.Parameter(u, "useMsi"); found && msi != "false" {
		return nil, dburl.Invalid(raw, "useMsi is a parameter of golang-migrate's that has no meaning here")
	}
	table, _ := dburl.Parameter(u, "x-migrations-table")
	config := migrate.Config{DatabaseName: u.Path, MigrationsTable: table}
	return func(db *sql.DB) (database.Driver, error) {
		config := config // the driver writes into it
		return migrate.WithInstance(db, &config)
	}, nil
}

// migrateURL is the URL for golang-migrate's driver, with a bound on connecting.
func migrateURL(raw string) (string, error) {
	u, err := dburl.SQLServer(raw)
	if err != nil {
		return "", err
	}
	if _, found := dburl.Parameter(u, "dial timeout"); !found {
		query := u.Query()
		query.Set("dial timeout", "10")
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}
