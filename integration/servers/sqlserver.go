package servers

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"strconv"

	mssql "github.com/microsoft/go-mssqldb"
)

// sqlServer returns the engine for SQL Server, which runs in a container only. Its URL may name a
// Babelfish for PostgreSQL, which speaks the same protocol and can do most of the same. The file
// babelfish.go lists what it can't do.
func sqlServer() *engine {
	const unlessBabelfish = "IF @@VERSION NOT LIKE 'Babelfish%%' EXEC('ALTER DATABASE %[1]s SET "
	return &engine{
		name:       "sqlserver",
		scheme:     "sqlserver",
		parameter:  "database",
		open:       openSQLServer,
		quote:      `"`,
		oneAtATime: true,
		create: "CREATE DATABASE %[1]s; " +
			unlessBabelfish + "READ_COMMITTED_SNAPSHOT ON'); " + unlessBabelfish + "ALLOW_SNAPSHOT_ISOLATION ON')",
		drop: unlessBabelfish + "SINGLE_USER WITH ROLLBACK IMMEDIATE'); DROP DATABASE %[1]s",
		rootURL: func(host string, port int) *url.URL {
			return &url.URL{
				Scheme: "sqlserver", User: url.UserPassword("sa", "Sqllock-12345"),
				Host: net.JoinHostPort(host, strconv.Itoa(port)), RawQuery: "database=master",
			}
		},
		image: "mcr.microsoft.com/mssql/server:2022-latest",
		port:  "1433/tcp",
		variables: map[string]string{
			"ACCEPT_EULA": "Y", "MSSQL_PID": "Developer", "MSSQL_SA_PASSWORD": "Sqllock-12345",
		},
		args: []string{"/opt/mssql/bin/sqlservr"},
		find: func() (*program, error) {
			return nil, fmt.Errorf("%w: SQL Server is run in a container only", errAbsent)
		},
		isA: babelfish,
	}
}

func openSQLServer(u *url.URL) (*sql.DB, error) {
	connector, err := mssql.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
