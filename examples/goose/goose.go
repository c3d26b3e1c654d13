// Package goose shows sqllock's migration lock in a program that migrates with goose, on any
// database that sqllock supports. goose itself has a lock only for PostgreSQL.
package goose

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	gooselock "github.com/pressly/goose/v3/lock"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"
)

//go:embed files/*.sql
var files embed.FS

// lock.Locker implements both of goose's interfaces.
var (
	_ gooselock.Locker        = (*lock.Locker)(nil)
	_ gooselock.SessionLocker = (*lock.Locker)(nil)
)

// Up applies all pending migrations to an SQLite database and returns how many it applied. For
// another engine, use its dialect and its migrations in place of SQLite's. session selects one of
// goose's two interfaces; both work. Any number of processes may call Up at the same time: one of
// them migrates, the others wait and then find nothing to do.
func Up(ctx context.Context, db *sql.DB, session bool) (int, error) {
	source, err := fs.Sub(files, "files")
	if err != nil {
		return 0, err
	}
	locker := lock.New(sqlite.New(db), &lock.Options{
		Waiting: func(held *sqllock.HeldError) {
			slog.Info("waiting for the migration lock", "holder", lock.Describe(held))
		},
		// If the lock is a lease, as on SQLite, it needs sqllock's tables.
		Prepare: func(ctx context.Context) error { return migrations.Up(ctx, db, sqlitemigrations.Engine) },
	})
	option := goose.WithLocker(locker)
	if session {
		option = goose.WithSessionLocker(locker)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, source, option)
	if err != nil {
		return 0, err
	}
	results, err := provider.Up(ctx)
	return len(results), err
}
