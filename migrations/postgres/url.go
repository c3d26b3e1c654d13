package postgres

import (
	"net/url"

	"github.com/sqllock/sqllock/internal/dburl"
)

// migrateURL is the URL for golang-migrate's driver for pgx v5. Its command takes postgres:// to lib/pq: the
// parameters that only lib/pq knows, and that make no difference here, are taken out.
func migrateURL(raw string) (string, error) {
	rest, err := dburl.CutScheme(raw, "postgres", "postgresql", "pgx5", "pgx")
	if err != nil {
		return "", err
	}
	u, err := url.Parse("pgx5://" + rest)
	if err != nil {
		return "", dburl.Unparsable(raw)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", dburl.Invalid(raw, "%v", err)
	}
	query.Del("binary_parameters")
	query.Del("disable_prepared_binary_result")
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "10")
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
