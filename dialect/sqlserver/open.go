package sqlserver

import (
	"database/sql"
	"database/sql/driver"
	"strings"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// connectTimeout bounds one attempt to connect if the URL has no "dial timeout".
const connectTimeout = 10 * time.Second

// Open returns a *sql.DB for a URL like sqlserver://user:pass@host:port?database=db&encrypt=true,
// or the same with mssql://. It uses go-mssqldb, and accepts all its parameters. The path, as in
// sqlserver://host/instance?database=db, is the name of an instance.
//
// Open doesn't connect: an unreachable server and a wrong password show at the first use. An error
// wraps [dialect.ErrInvalid] and hides the password. The caller closes the *sql.DB.
func Open(url string) (*sql.DB, error) {
	connector, err := Connector(url)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Connector returns the connector of Open's *sql.DB, for [WithConnector]. Its errors are those of
// [Open].
func Connector(url string) (driver.Connector, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	return mssql.NewConnectorConfig(*config), nil
}

// parse returns the URL's settings, with sqllock's defaults.
func parse(url string) (*msdsn.Config, error) {
	u, err := dburl.SQLServer(url)
	if err != nil {
		return nil, err
	}
	for name := range u.Query() {
		if strings.HasPrefix(strings.ToLower(name), "x-") {
			return nil, dburl.Invalid(url, "%s is a parameter of golang-migrate's, for migrations of your own only",
				name)
		}
	}
	config, err := msdsn.Parse(u.String())
	if err != nil {
		return nil, dburl.Invalid(url, "%v", err)
	}
	if config.Database == "" { // it would be the login's default, which usually is master
		return nil, dburl.Invalid(url, "it names no database: add ?database=name")
	}
	if _, found := dburl.Parameter(u, msdsn.AppName); !found {
		config.AppName = "sqllock"
	}
	if _, found := dburl.Parameter(u, msdsn.DialTimeout); !found {
		config.DialTimeout = connectTimeout
	}
	return &config, nil
}
