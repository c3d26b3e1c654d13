package mysql

import (
	"cmp"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	driver "github.com/go-sql-driver/mysql"
	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/mysql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/mysql/mysqldsn"
	"github.com/sqllock/sqllock/migrations"
)

// newDriver returns golang-migrate's driver with table as its version table.
func newDriver(table string) (migrations.Driver, error) {
	if problem := checkTable(table); problem != "" {
		return migrations.Driver{}, fmt.Errorf("%w: the version table %q %s", dialect.ErrInvalid, table, problem)
	}
	return driverWith(migrate.Config{MigrationsTable: table}), nil
}

func driverWith(config migrate.Config) migrations.Driver {
	config.MigrationsTable = cmp.Or(config.MigrationsTable, migrate.DefaultMigrationsTable)
	return migrations.Driver{
		New: func(db *sql.DB) (database.Driver, string, error) {
			config := config // the driver writes into it
			driver, err := openDriver(db, &config)
			return driver, "`" + config.MigrationsTable + "`", err
		},
		Name: config.MigrationsTable,
	}
}

// checkTable says what is wrong with the name of a version table. golang-migrate puts the name
// between backquotes and between quotes without escaping it, and searches for it with LIKE.
func checkTable(name string) (problem string) {
	const most = 64
	switch {
	case strings.ContainsAny(name, "`'\"\\%\x00") || !utf8.ValidString(name):
		return "has a character that the name of a version table can't have: ` ' \" \\ % or a zero byte"
	case utf8.RuneCountInString(name) > most:
		return fmt.Sprintf("is longer than the %d characters that a table's name may have", most)
	case strings.HasSuffix(name, " "):
		return "ends in a space, which the name of a table can't"
	}
	return ""
}

// parse reads golang-migrate's parameters in the same way as its driver.
func parse(raw string) (*migrations.Settings, error) {
	u, err := mysqldsn.Cut(raw)
	if err != nil {
		return nil, err
	}
	const most = 1<<31 - 1
	p := u.Params
	config := migrate.Config{
		MigrationsTable:  p.Text("x-migrations-table"),
		NoLock:           p.Bool("x-no-lock"),
		StatementTimeout: time.Duration(p.Number("x-statement-timeout", "milliseconds", most)) * time.Millisecond,
	}
	if problem := checkTable(config.MigrationsTable); problem != "" {
		p.Invalid("x-migrations-table", "%q %s", config.MigrationsTable, problem)
	}
	registerTLS(u)
	if err := p.Err(); err != nil {
		return nil, err
	}
	connect, err := u.Config()
	if err != nil {
		return nil, err
	}
	config.DatabaseName = connect.DBName
	return &migrations.Settings{
		Driver: driverWith(config),
		Open: func() (*sql.DB, error) {
			several := connect.Clone()
			several.MultiStatements = true
			db, _, err := open(several)
			return db, err
		},
		Locks: func() (*sql.DB, dialect.Dialect, error) { return open(connect) },
	}, nil
}

func open(config *driver.Config) (*sql.DB, dialect.Dialect, error) {
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", dialect.ErrInvalid, err)
	}
	db := sql.OpenDB(connector)
	return db, mysql.New(db, mysql.WithConnector(connector)), nil
}
