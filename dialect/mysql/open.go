package mysql

import (
	"database/sql"
	"database/sql/driver"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect/dburl"
	"github.com/sqllock/sqllock/dialect/mysql/mysqldsn"
)

// Open returns a *sql.DB for a URL like mysql://user:pass@host:port/db?tls=true, or the same with
// mariadb://. It uses go-sql-driver, and accepts all its parameters. It also accepts that driver's
// own form, mysql://user:pass@tcp(host:port)/db or …@unix(/path)/db: whatever its ParseDSN accepts
// is in that form. Special characters in user and password are percent-encoded in every form.
//
// Open doesn't connect: an unreachable server, a wrong password and an unknown parameter show at
// the first use. An error wraps [dialect.ErrInvalid] and hides the password. The caller closes the
// *sql.DB.
func Open(rawURL string) (*sql.DB, error) {
	connector, err := Connector(rawURL)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Connector returns the connector that [Open] uses, for [WithConnector]: session locks have
// connections of their own. Its errors are those of Open.
func Connector(rawURL string) (driver.Connector, error) {
	config, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, dburl.Invalid(rawURL, "%v", err)
	}
	return connector, nil
}

// parse returns the URL's settings, with sqllock's defaults.
func parse(rawURL string) (*mysql.Config, error) {
	u, err := mysqldsn.Cut(rawURL)
	if err != nil {
		return nil, err
	}
	if name := u.Params.Any(); name != "" {
		return nil, u.Invalid("%s is a parameter of golang-migrate's, for migrations of your own only", name)
	}
	return u.Config()
}
