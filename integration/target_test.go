package integration

import (
	"database/sql"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/dialect/sqlserver"
)

// newDialect returns a dialect of the URL's engine, on an *sql.DB that the test has made.
func newDialect(url string, db *sql.DB) dialect.Dialect {
	switch {
	case strings.HasPrefix(url, "postgres"):
		return postgres.New(db)
	case strings.HasPrefix(url, "mysql"):
		connector, err := mysql.Connector(url)
		if err != nil {
			panic(err)
		}
		return mysql.New(db, mysql.WithConnector(connector))
	case strings.HasPrefix(url, "sqlserver"):
		connector, err := sqlserver.Connector(url)
		if err != nil {
			panic(err)
		}
		return sqlserver.New(db, sqlserver.WithConnector(connector))
	}
	return sqlite.New(db)
}
