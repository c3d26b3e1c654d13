package mysql

import (
	"database/sql"
	"database/sql/driver"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/internal/dburl"
)

// connectTimeout bounds connecting where the URL has no timeout; the driver alone would wait as long as the
// operating system does.
const connectTimeout = 10 * time.Second

// Open is a *sql.DB for a URL like mysql://user:pass@host:port/db?tls=true, mariadb:// the same, through
// go-sql-driver, whose parameters are all understood. Its own form, mysql://user:pass@tcp(host:port)/db or
// …@unix(/path)/db, is too. Special characters in user and password are percent-encoded in every form.
//
// It doesn't connect: a server that can't be reached, a wrong password and an unknown parameter show at the first
// use. An error wraps dialect.ErrInvalid and hides the password. The caller closes the *sql.DB.
func Open(rawURL string) (*sql.DB, error) {
	connector, err := Connector(rawURL)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Connector is how Open connects, for WithConnector: session locks have connections of their own. Its error is like
// Open's.
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

// parse is the URL's settings, with sqllock's defaults.
func parse(rawURL string) (*mysql.Config, error) {
	dsn, err := dburl.MySQL(rawURL)
	if err != nil {
		return nil, err
	}
	if err := checkParameters(dsn); err != "" {
		return nil, dburl.Invalid(rawURL, "%s", err)
	}
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, dburl.Invalid(rawURL, "%v", err)
	}
	for _, part := range []*string{&config.User, &config.Passwd} {
		if *part, err = url.QueryUnescape(*part); err != nil {
			return nil, dburl.Invalid(rawURL, "user or password has a %% that isn't percent-encoding: write it as %%25")
		}
	}
	if config.DBName == "" {
		return nil, dburl.Invalid(rawURL, "it names no database: add /name after the host")
	}
	if config.Timeout == 0 {
		config.Timeout = connectTimeout
	}
	return config, nil
}

// checkParameters says what is wrong with the DSN's parameters: the driver passes over one without a value.
func checkParameters(dsn string) (problem string) {
	_, query, _ := strings.Cut(dsn[strings.LastIndexByte(dsn, ')')+1:], "?")
	if query == "" {
		return ""
	}
	for parameter := range strings.SplitSeq(query, "&") {
		name, _, found := strings.Cut(parameter, "=")
		switch {
		case !found:
			return "parameter " + name + " has no value"
		case strings.HasPrefix(name, "x-"):
			return name + " is a parameter of golang-migrate's, for migrations of your own only"
		}
	}
	return ""
}
