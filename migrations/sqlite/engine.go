// Package sqlite has sqllock's migrations for SQLite.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	migrate "github.com/golang-migrate/migrate/v4/database/sqlite"
	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/internal/dburl"
	"github.com/sqllock/sqllock/migrations"
)

//go:embed *.sql
var files embed.FS

// Engine is SQLite: see migrations.Up. The run is one IMMEDIATE transaction, which is also what keeps other processes
// out: golang-migrate's own lock for SQLite doesn't reach beyond the process.
var Engine = &migrations.Engine{
	Name:          "sqlite",
	Files:         files,
	Driver:        newDriver,
	TryLock:       tryLock,
	Unlock:        unlock,
	Transactional: true,
	HasTable:      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
	MigrateURL:    migrateURL,
	Dialect:       func(db *sql.DB) dialect.Dialect { return sqlite.New(db) },
	Open:          openURL,
	Position:      position,
}

func newDriver(db *sql.DB, table string) (database.Driver, error) {
	return migrate.WithInstance(db, &migrate.Config{MigrationsTable: table})
}

func tryLock(ctx context.Context, conn *sql.Conn, _ string) (bool, error) {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	var e *driver.Error
	if errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY {
		return false, nil
	}
	return err == nil, err
}

func unlock(ctx context.Context, conn *sql.Conn, _ string) error {
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}

var token = regexp.MustCompile(`near "([^"]+)"|(?:no such table:|table|index|no such column:) "?(\w+)`)

// position guesses the line by what SQLite's message names, if that stands on one line only: the driver doesn't pass
// on where the error lies.
func position(err error, text string) (line, column int) {
	match := token.FindStringSubmatch(err.Error())
	if match == nil {
		return 0, 0
	}
	word := regexp.MustCompile(`(?:^|\W)(` + regexp.QuoteMeta(match[1]+match[2]) + `)(?:\W|$)`)
	for i, l := range strings.Split(text, "\n") {
		code, _, _ := strings.Cut(l, "--")
		at := word.FindStringSubmatchIndex(code)
		if at == nil {
			continue
		}
		if line > 0 {
			return 0, 0
		}
		line, column = i+1, len([]rune(code[:at[2]]))+1
	}
	return line, column
}

// openURL is a pool for locks on the file that a URL for migrateURL names. What the URL says about how migrations are written
// is left out, and the journal stays as it is: both are the application's.
func openURL(raw string) (*sql.DB, dialect.Dialect, error) {
	rest, err := dburl.CutScheme(raw, "sqlite", "sqlite3")
	if err != nil {
		return nil, nil, err
	}
	path, rawQuery, _ := strings.Cut(rest, "?")
	all, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, nil, dburl.Invalid(raw, "%v", err)
	}
	query := url.Values{"_pragma": {"journal_mode"}} // asks for it, and so keeps it
	for _, name := range []string{"vfs", "mode", "_busy_timeout", "_timeout"} {
		if all.Has(name) {
			query.Set(name, all.Get(name))
		}
	}
	db, err := sqlite.Open("sqlite://" + path + "?" + query.Encode())
	return db, sqlite.New(db), err
}

// migrateURL is the URL for golang-migrate's driver for modernc.org/sqlite, to which it takes sqlite3:// too. A wait
// for other writers is added, and the rest of the settings is left to the URL.
func migrateURL(raw string) (string, error) {
	rest, err := dburl.CutScheme(raw, "sqlite", "sqlite3")
	if err != nil {
		return "", err
	}
	path, rawQuery, _ := strings.Cut(rest, "?")
	if path == "" {
		return "", dburl.Invalid(raw, "it names no file: write sqlite:///abs/path.db or sqlite://rel/path.db")
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", dburl.Invalid(raw, "%v", err)
	}
	if _, err := url.Parse("sqlite://" + rest); err != nil {
		return "", dburl.Invalid(raw, "%v", err)
	}
	if !query.Has("_busy_timeout") && !query.Has("_timeout") && !strings.Contains(strings.ToLower(rawQuery), "busy_timeout") {
		query.Set("_busy_timeout", "5000")
	}
	if !query.Has("_error_rc") {
		query.Set("_error_rc", "1") // else a missing folder is reported as "out of memory"
	}
	return "sqlite://" + path + "?" + query.Encode(), nil
}
