// Package mysqldsn reads database URLs for MySQL and MariaDB, in the URL form and in
// go-sql-driver's own.
package mysqldsn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// connectTimeout bounds connecting if the URL has no timeout. The driver alone would wait as long
// as the operating system does.
const connectTimeout = 10 * time.Second

// URL is a database URL, split into its parts.
type URL struct {
	// Params are golang-migrate's own parameters.
	Params *dburl.Parameters

	raw string
	dsn string
}

// Cut splits mysql://user:pass@host:port/db?param=value, or mysql:// before go-sql-driver's own
// user:pass@tcp(host:port)/db?param=value, or either with mariadb://. Whatever go-sql-driver
// accepts as a DSN is one; anything else is a URL. An error wraps dialect.ErrInvalid and hides the
// password.
func Cut(raw string) (*URL, error) {
	rest, err := dburl.CutScheme(raw, "mysql", "mariadb")
	if err != nil {
		return nil, err
	}
	// An unescaped password may contain a ?, too. The query begins at the first ? with an address
	// before it.
	scheme := len(raw) - len(rest)
	var problem error
	for end := 0; end <= len(rest); end++ {
		if next := strings.IndexByte(rest[end:], '?'); next >= 0 {
			end += next
		} else {
			end = len(rest)
		}
		address, err := toDSN(rest[:end])
		if err != nil {
			if problem == nil { // later ones took more of the text for an address
				problem = err
			}
			continue
		}
		return cutParams(raw, address, scheme+end), nil
	}
	return nil, dburl.Invalid(raw, "%v", problem)
}

// cutParams cuts off the parameters, which follow the ? at index query, if there is one.
func cutParams(raw, address string, query int) *URL {
	if query == len(raw) {
		query = -1
	}
	kept, params := dburl.CutParameters(raw, query)
	if query >= 0 && len(kept) > query {
		// The driver takes the last slash for the one before the database's name.
		address += strings.ReplaceAll(kept[query:], "/", "%2F")
	}
	return &URL{Params: params, raw: raw, dsn: address}
}

// toDSN returns the part before the parameters in go-sql-driver's form.
func toDSN(address string) (string, error) {
	_, notDSN := parseDSN(address)
	if notDSN == nil {
		return address, nil
	}
	authority, database, found := strings.Cut(address, "/")
	u, err := url.Parse("mysql://" + authority)
	switch {
	case strings.ContainsRune(authority, '('):
		return "", notDSN
	case err != nil, u.RawQuery != "", u.Fragment != "", strings.ContainsRune(database, '@'):
		return "", errors.New("it can't be parsed; write special characters in user and password percent-encoded, " +
			"as in p%40ss for p@ss")
	case !found:
		return "", errors.New("it names no database: add /name after the host")
	case u.Hostname() == "":
		return "", errors.New("it names no host")
	}
	var user string
	if u.User != nil {
		user = url.QueryEscape(u.User.Username())
		if password, set := u.User.Password(); set {
			user += ":" + url.QueryEscape(password)
		}
		user += "@"
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	return user + "tcp(" + net.JoinHostPort(u.Hostname(), port) + ")/" + database, nil
}

// parseDSN calls the driver's ParseDSN, which panics at a parameter that it no longer has.
func parseDSN(dsn string) (config *mysql.Config, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("%v", why)
		}
	}()
	return mysql.ParseDSN(dsn)
}

// Param returns the value of a parameter of the driver's, as written.
func (u *URL) Param(name string) string {
	_, query, _ := strings.Cut(u.dsn[strings.LastIndexByte(u.dsn, '/')+1:], "?")
	for parameter := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(parameter, "="); key == name {
			return value
		}
	}
	return ""
}

// Config returns the settings, with sqllock's defaults. User and password are percent-encoded in
// every form, as in golang-migrate. A name of TLS settings must already be registered. An error
// wraps dialect.ErrInvalid.
func (u *URL) Config() (*mysql.Config, error) {
	config, err := parseDSN(u.dsn)
	if err != nil {
		return nil, dburl.Invalid(u.raw, "%v", err)
	}
	for _, part := range []*string{&config.User, &config.Passwd} {
		if *part, err = url.QueryUnescape(*part); err != nil {
			return nil, dburl.Invalid(u.raw, "user or password has a %% that isn't percent-encoding: write it as %%25")
		}
	}
	if config.DBName == "" {
		return nil, dburl.Invalid(u.raw, "it names no database: add /name after the host")
	}
	if config.Timeout == 0 {
		config.Timeout = connectTimeout
	}
	return config, nil
}

// Invalid returns the error about that URL, which wraps dialect.ErrInvalid.
func (u *URL) Invalid(format string, args ...any) error { return dburl.Invalid(u.raw, format, args...) }
