package postgres

import (
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// connectTimeout bounds one attempt to connect if the URL has no connect_timeout. pgx alone would
// wait as long as the operating system does.
const connectTimeout = 10 * time.Second

// connectTimeoutOfEach is connectTimeout for a URL with several hosts. The first of them may be
// gone without a trace, and the second has to be reached within the few seconds that a statement
// may take.
const connectTimeoutOfEach = 2 * time.Second

// Open returns an *sql.DB for a URL like postgres://user:pass@host:port/db?sslmode=verify-full,
// through pgx. It understands everything that libpq's URLs and environment variables (PGPASSWORD
// and the like) can express.
//
// A URL may name several hosts, as postgres://host1:port,host2:port/db. A connection is then made
// to the first that takes writes within two seconds, unless the URL has a target_session_attrs or a
// connect_timeout. After a failover, this is the new primary.
//
// Open doesn't connect: an unreachable server, a wrong password and an unknown parameter are
// reported at the first use. An error wraps dialect.ErrInvalid and hides the password. The caller
// closes the *sql.DB.
func Open(url string) (*sql.DB, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config), nil
}

// parse returns the URL's settings, with sqllock's defaults added.
func parse(url string) (*pgx.ConnConfig, error) {
	rest, err := dburl.CutScheme(url, "postgres", "postgresql")
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("postgres://" + rest)
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), "`: ") // after the URL, which it quotes
		return nil, dburl.Invalid(url, "%s", why)
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "x-") {
			return nil, dburl.Invalid(url, "%s is a parameter of golang-migrate, for your own migrations only", name)
		}
	}
	if _, named := config.RuntimeParams["application_name"]; !named {
		config.RuntimeParams["application_name"] = "sqllock"
	}
	if _, named := config.RuntimeParams["client_encoding"]; !named {
		// pgx sends nothing but UTF-8, whatever the role's or the database's default is.
		config.RuntimeParams["client_encoding"] = "UTF8"
	}
	timeout := connectTimeout
	if severalHosts(config) {
		timeout = connectTimeoutOfEach
		if config.ValidateConnect == nil && !strings.Contains(rest, "target_session_attrs=") {
			config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = timeout
	}
	return config, nil
}

// severalHosts reports whether there are several servers to choose from. pgx has a fallback for the
// same server without TLS, too.
func severalHosts(config *pgx.ConnConfig) bool {
	return slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return f.Host != config.Host || f.Port != config.Port
	})
}
