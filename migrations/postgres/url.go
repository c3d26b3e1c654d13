package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	pgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dburl"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/migrations"
)

// newDriver returns golang-migrate's driver with table as its version table, in the current schema.
func newDriver(table string) (migrations.Driver, error) {
	if strings.ContainsRune(table, 0) {
		return migrations.Driver{}, fmt.Errorf("%w: the version table %q has a zero byte", dialect.ErrInvalid, table)
	}
	d := migrations.Driver{Name: cmp.Or(table, pgx.DefaultMigrationsTable)}
	d.New = func(db *sql.DB) (driver database.Driver, quoted string, err error) {
		config := pgx.Config{MigrationsTable: table}
		row := db.QueryRowContext(context.Background(), "SELECT current_database()")
		if err = row.Scan(&config.DatabaseName); err != nil {
			return nil, "", err
		}
		config.DatabaseName = databaseName(config.DatabaseName)
		return open(db, d, config)
	}
	return d, nil
}

// errNoSchema is an error that the server doesn't report itself: without a schema it finds no
// table.
var errNoSchema = errors.New("no schema of the search_path exists: create one, or set search_path")

// open creates golang-migrate's driver, and returns the table's name with its schema, because a
// migration may change search_path.
func open(db *sql.DB, d migrations.Driver, config pgx.Config) (driver database.Driver, table string, err error) {
	var schema sql.NullString
	tx, err := db.BeginTx(context.Background(), nil) // fails early behind a pooler that refuses transactions
	if err == nil {
		err = tx.QueryRowContext(context.Background(), "SELECT current_schema()").Scan(&schema)
		err = errors.Join(err, tx.Rollback())
	}
	switch {
	case err != nil:
		return nil, "", postgres.Explain(err)
	case !schema.Valid:
		return nil, "", errNoSchema
	}
	driver, err = pgx.WithInstance(db, &config)
	return driver, quote(cmp.Or(d.Schema, schema.String)) + "." + quote(d.Name), err
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// parse reads golang-migrate's parameters in the same way as its drivers for pgx and lib/pq. It
// passes all others to pgx unchanged.
func parse(raw string) (*migrations.Settings, error) {
	rest, p, err := cut(raw)
	if err != nil {
		return nil, err
	}
	const most = 1<<31 - 1
	config := pgx.Config{
		DatabaseName:          path(rest),
		MigrationsTable:       p.Text("x-migrations-table"),
		MigrationsTableQuoted: p.Bool("x-migrations-table-quoted"),
		StatementTimeout:      time.Duration(p.Number("x-statement-timeout", "milliseconds", most)) * time.Millisecond,
		MultiStatementEnabled: p.Bool("x-multi-statement"),
		MultiStatementMaxSize: cmp.Or(p.Number("x-multi-statement-max-size", "bytes", most),
			pgx.DefaultMultiStatementMaxSize),
	}
	d := migrations.Driver{Name: cmp.Or(config.MigrationsTable, pgx.DefaultMigrationsTable)}
	d.New = func(db *sql.DB) (database.Driver, string, error) { return open(db, d, config) }
	if config.MigrationsTableQuoted && config.MigrationsTable != "" {
		parts := quotedTable.FindStringSubmatch(config.MigrationsTable)
		if parts == nil {
			p.Invalid("x-migrations-table",
				`with x-migrations-table-quoted it must be in quotes, as in "migrate"."schema_migrations"`)
		} else {
			d.Schema, d.Name = parts[1], parts[2]
		}
	}
	if strings.ContainsRune(config.MigrationsTable, 0) {
		p.Invalid("x-migrations-table", "it has a zero byte")
	}
	checkLock(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	db, err := postgres.Open(rest) // does not connect yet
	if err != nil {
		return nil, err
	}
	_ = db.Close()
	refusedInTx := refused
	if config.MultiStatementEnabled {
		refusedInTx = refusedApart
	}
	return &migrations.Settings{
		Refused: refusedInTx,
		Driver:  d,
		Open:    func() (*sql.DB, error) { return postgres.Open(rest) },
		Locks: func() (*sql.DB, dialect.Dialect, error) {
			db, err := postgres.Open(rest)
			return db, postgres.New(db), err
		},
	}, nil
}

var quotedTable = regexp.MustCompile(`^(?:"([^"\x00]+)"\.)?"([^"\x00]+)"$`)

// checkLock refuses the lock in a table, which golang-migrate's driver for pgx 4 can take.
func checkLock(p *dburl.Parameters) {
	switch strategy := p.Text("x-lock-strategy"); strategy {
	case "", "advisory":
	case "table":
		p.Invalid("x-lock-strategy", "a lock in a table stays taken for ever when its holder dies, so it isn't "+
			"supported here, and a process that uses it and one that migrates here wouldn't exclude each other: "+
			"leave it out everywhere, or use advisory")
	default:
		p.Invalid("x-lock-strategy", "it is %q: want advisory", strategy)
	}
	if p.Text("x-lock-table") != "" {
		p.Invalid("x-lock-table", "it is for x-lock-strategy=table, which isn't supported here")
	}
}

// cut removes golang-migrate's parameters from a URL. golang-migrate's command uses lib/pq for
// postgres://, so cut also removes the parameters that only lib/pq knows and that have no effect
// here. It turns prepared statements off unless the URL says otherwise: behind a pooler in
// transaction mode the next statement may reach a server that doesn't know them.
func cut(raw string) (rest string, p *dburl.Parameters, err error) {
	rest, err = dburl.CutScheme(raw, "postgres", "postgresql", "pgx5", "pgx4", "pgx")
	if err != nil {
		return "", nil, err
	}
	rest = "postgres://" + rest
	rest, p = dburl.CutParameters(rest, query(rest), "binary_parameters", "disable_prepared_binary_result")
	const mode = "default_query_exec_mode"
	switch at := query(rest); {
	case at < 0:
		rest += "?" + mode + "=exec"
	case strings.Contains(rest[at:], mode+"="):
	case strings.HasSuffix(rest, "?"), strings.HasSuffix(rest, "&"):
		rest += mode + "=exec"
	default:
		rest += "&" + mode + "=exec"
	}
	return rest, p, nil
}

// query returns the index at which a URL's query begins, as libpq and pgx read it, or -1. A
// password may contain a ? as well.
func query(raw string) int {
	at := strings.Index(raw, "://") + len("://")
	if user := strings.IndexAny(raw[at:], "@/"); user >= 0 && raw[at+user] == '@' {
		at += user
	}
	question := strings.IndexByte(raw[at:], '?')
	if question < 0 {
		return -1
	}
	return at + question
}

// path returns the path of a URL, which golang-migrate's command uses as the database's name, and
// so for its lock.
func path(raw string) string {
	if at := query(raw); at >= 0 {
		raw = raw[:at]
	}
	_, rest, _ := strings.Cut(raw, "://")
	if user := strings.IndexAny(rest, "@/"); user >= 0 && rest[user] == '@' {
		rest = rest[user:]
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return ""
	}
	if name, err := url.PathUnescape(rest[slash:]); err == nil {
		return name
	}
	return rest[slash:]
}
