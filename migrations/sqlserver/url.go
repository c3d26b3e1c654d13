package sqlserver

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/sqlserver"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dburl"
	"github.com/sqllock/sqllock/dialect/sqlserver"
	"github.com/sqllock/sqllock/migrations"
)

// newDriver returns golang-migrate's driver with table as its version table, in the user's default
// schema.
func newDriver(table string) (migrations.Driver, error) {
	if problem := checkTable(table); problem != "" {
		return migrations.Driver{}, fmt.Errorf("%w: the version table %q %s", dialect.ErrInvalid, table, problem)
	}
	return driverWith(migrate.Config{MigrationsTable: table}), nil
}

func driverWith(config migrate.Config) migrations.Driver {
	name := cmp.Or(config.MigrationsTable, migrate.DefaultMigrationsTable)
	return migrations.Driver{
		New: func(db *sql.DB) (database.Driver, string, error) {
			config := config // the driver writes into it
			var schema sql.NullString
			if err := db.QueryRowContext(context.Background(), "SELECT SCHEMA_NAME()").Scan(&schema); err != nil {
				return nil, "", err
			}
			if !schema.Valid {
				return nil, "", errNoSchema
			}
			driver, err := migrate.WithInstance(db, &config)
			return driver, "[" + strings.ReplaceAll(schema.String, "]", "]]") + "].[" + name + "]", err
		},
		Name: name,
	}
}

var errNoSchema = errors.New("the user has no default schema: set one, with ALTER USER … WITH DEFAULT_SCHEMA")

// checkTable says what is wrong with the name of a version table. golang-migrate puts the name
// between brackets without escaping it.
func checkTable(name string) (problem string) {
	if strings.ContainsAny(name, "[]'\x00") {
		return "has a character that the name of a version table can't have: [ ] ' or a zero byte"
	}
	return ""
}

// parse reads golang-migrate's parameters in the same way as its driver.
func parse(raw string) (*migrations.Settings, error) {
	rest, p := dburl.CutParameters(raw, strings.IndexByte(raw, '?'))
	config := migrate.Config{MigrationsTable: p.Text("x-migrations-table")}
	if problem := checkTable(config.MigrationsTable); problem != "" {
		p.Invalid("x-migrations-table", "%q %s", config.MigrationsTable, problem)
	}
	u, err := dburl.SQLServer(rest)
	if err != nil {
		return nil, err
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	if msi, found := dburl.Parameter(u, "useMsi"); found && msi != "false" {
		return nil, dburl.Invalid(raw, "useMsi is a parameter of golang-migrate's that has no meaning here")
	}
	config.DatabaseName = u.Path
	connector, err := sqlserver.Connector(rest)
	if err != nil {
		return nil, err
	}
	return &migrations.Settings{
		Driver: driverWith(config),
		Open:   func() (*sql.DB, error) { return sql.OpenDB(connector), nil },
		Locks: func() (*sql.DB, dialect.Dialect, error) {
			db := sql.OpenDB(connector)
			return db, sqlserver.New(db, sqlserver.WithConnector(connector)), nil
		},
	}, nil
}
