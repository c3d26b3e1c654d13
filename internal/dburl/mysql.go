package dburl

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// MySQL converts mysql://user:pass@host:port/db?param=value to go-sql-driver's user:pass@tcp(host:port)/db?param=value,
// with user and password percent-encoded, which is what golang-migrate expects. A URL that is in that form already
// passes unchanged.
func MySQL(raw string) (dsn string, err error) {
	rest, err := CutScheme(raw, "mysql", "mariadb")
	if err != nil {
		return "", err
	}
	if isDSN(rest) {
		return rest, checkStrict(raw, rest)
	}
	u, err := url.Parse("mysql://" + rest)
	if err != nil {
		return "", Unparsable(raw)
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		return "", Invalid(raw, "it names no host")
	}
	if port == "" {
		port = "3306"
	}
	var user string
	if u.User != nil {
		user = url.QueryEscape(u.User.Username())
		if password, set := u.User.Password(); set {
			user += ":" + url.QueryEscape(password)
		}
		user += "@"
	}
	dsn = user + "tcp(" + net.JoinHostPort(host, port) + ")/" + strings.TrimPrefix(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		dsn += "?" + u.RawQuery
	}
	return dsn, checkStrict(raw, dsn)
}

// checkStrict refuses a parameter at which the driver would panic.
func checkStrict(raw, dsn string) error {
	if strict.MatchString(dsn) {
		return Invalid(raw, "there is no parameter strict any more: the server's sql_mode decides")
	}
	return nil
}

var strict = regexp.MustCompile(`[?&]strict=`)

// isDSN tells go-sql-driver's form, which has the address in parentheses: user:pass@tcp(host:port)/db.
func isDSN(rest string) bool { return network.MatchString(rest) }

var network = regexp.MustCompile(`(?:^|@)[a-z0-9]+\([^()]*\)/`)
