package sqlite

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/sqlite"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dburl"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
)

// newDriver returns golang-migrate's driver with table as its version table.
func newDriver(table string) (migrations.Driver, error) {
	if strings.ContainsRune(table, 0) {
		return migrations.Driver{}, fmt.Errorf("%w: the version table %q has a zero byte", dialect.ErrInvalid, table)
	}
	return driverWith(migrate.Config{MigrationsTable: table}), nil
}

// driverWith quotes the table's name, which golang-migrate inserts into its statements unchanged. A
// user of golang-migrate may already have written the quotes.
func driverWith(config migrate.Config) migrations.Driver {
	name := cmp.Or(config.MigrationsTable, migrate.DefaultMigrationsTable)
	if !quotedTable.MatchString(name) {
		name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	config.MigrationsTable = name
	return migrations.Driver{
		New: func(db *sql.DB) (database.Driver, string, error) {
			config := config // the driver writes into it
			driver, err := migrate.WithInstance(db, &config)
			return driver, name, err
		},
		Name: strings.ToLower(strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)),
	}
}

var quotedTable = regexp.MustCompile("^(?:\"[^\"]+\"|`[^`]+`|\\[[^\\]]+\\])$")

// parse reads golang-migrate's parameters in the same way as its driver, and passes all others to
// the driver unchanged. It adds a timeout for other writers, and otherwise uses the URL's settings.
func parse(raw string) (*migrations.Settings, error) {
	rest, err := dburl.CutScheme(raw, "sqlite", "sqlite3")
	if err != nil {
		return nil, err
	}
	rest = "sqlite://" + rest
	rest, p := dburl.CutParameters(rest, strings.IndexByte(rest, '?'))
	config := migrate.Config{MigrationsTable: p.Text("x-migrations-table"), NoTxWrap: p.Bool("x-no-tx-wrap")}
	if strings.ContainsRune(config.MigrationsTable, 0) {
		p.Invalid("x-migrations-table", "it has a zero byte")
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	address, rawQuery, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, dburl.Invalid(raw, "%v", err)
	}
	locks := address + "?" + forLocks(query).Encode()
	db, err := sqlite.Open(locks) // does not open the file yet
	if err != nil {
		return nil, err
	}
	_ = db.Close()
	source, err := fileURI(raw, address, rawQuery, query)
	if err != nil {
		return nil, err
	}
	apart := ""
	if config.NoTxWrap {
		apart = "x-no-tx-wrap=true keeps it outside a transaction"
	}
	return &migrations.Settings{
		Apart:  apart,
		Driver: driverWith(config),
		Open:   func() (*sql.DB, error) { return sql.Open("sqlite", source) },
		Locks: func() (*sql.DB, dialect.Dialect, error) {
			db, err := sqlite.Open(locks)
			return db, sqlite.New(db), err
		},
	}, nil
}

// forLocks returns the parameters for the pool that takes locks. It leaves out those that say how
// migrations write, and it doesn't change the journal mode: both are up to the application.
func forLocks(all url.Values) url.Values {
	query := url.Values{"_pragma": {"journal_mode"}} // reads the mode without changing it
	for _, name := range []string{"vfs", "mode", "_busy_timeout", "_timeout"} {
		if all.Has(name) {
			query.Set(name, all.Get(name))
		}
	}
	return query
}

// fileURI returns the URL in the form that SQLite expects. golang-migrate takes percent-encoding in
// the path literally, and SQLite decodes it. If golang-migrate has created a file under such a
// literal name, fileURI returns an error that names it.
func fileURI(raw, address, rawQuery string, query url.Values) (string, error) {
	literal := strings.TrimPrefix(address, "sqlite://")
	path, err := url.PathUnescape(literal)
	if err != nil {
		return "", dburl.Invalid(raw, "%v", err)
	}
	if path != literal && !exists(path) && exists(literal) {
		return "", dburl.Invalid(raw, "it names the file %s, and golang-migrate has created one called %s: rename "+
			"that one, or write every %% in its name as %%25", path, literal)
	}
	uri := "file:"
	if strings.HasPrefix(path, "/") {
		uri = "file://"
	}
	uri += (&url.URL{Path: path}).EscapedPath() + "?" + rawQuery
	if !query.Has("_busy_timeout") && !query.Has("_timeout") &&
		!strings.Contains(strings.ToLower(rawQuery), "busy_timeout") {
		uri += "&_busy_timeout=5000"
	}
	if !query.Has("_error_rc") {
		uri += "&_error_rc=1" // otherwise a missing folder is reported as "out of memory"
	}
	return uri, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
