package postgres

import (
	"database/sql"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect/dburl"
)

// connectTimeout bounds one attempt to connect if the URL has no connect_timeout. pgx alone would
// wait as long as the operating system does.
const connectTimeout = 10 * time.Second

// Open returns an *sql.DB for a URL like postgres://user:pass@host:port/db?sslmode=verify-full,
// through pgx. It understands everything that libpq's URLs and environment variables (PGPASSWORD
// and the like) can express.
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
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return config, nil
}
