package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"
)

// newDB returns an application's database, and a function that removes it.
func newDB() (db *sql.DB, done func()) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	if db, err = sqlite.Open("sqlite://" + filepath.Join(folder, "app.db")); err != nil {
		panic(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(folder)
	}
}

// A program migrates when it starts, before it creates its sqllock.Client.
func ExampleUp() {
	db, done := newDB()
	defer done()

	ctx := context.Background()
	if err := migrations.Up(ctx, db, sqlitemigrations.Engine); err != nil {
		slog.Error("can't migrate", "error", err)
		return
	}
	version, dirty, err := migrations.Version(ctx, db, sqlitemigrations.Engine)
	fmt.Println(version == sqlitemigrations.Engine.Latest(), dirty, err)
	// Output: true false <nil>
}

// Report progress, and wait longer for another process that migrates.
func ExampleMigrator() {
	db, done := newDB()
	defer done()

	m, err := migrations.New(db, sqlitemigrations.Engine, &migrations.Options{
		LockTimeout: time.Minute,
		Progress:    func(s migrations.Step) { fmt.Println("applied", s) },
	})
	if err != nil {
		slog.Error("wrong argument", "error", err)
		return
	}
	if _, err := m.Up(context.Background(), 1); err != nil {
		slog.Error("can't migrate", "error", err)
	}
	// Output: applied 1/u leases
}

// A program migrates its own tables when it starts. Its replicas start at the same time: one
// migrates, the others wait.
func ExampleRun() {
	db, done := newDB()
	defer done()

	files := fstest.MapFS{ // embed.FS in a real program
		"1_users.up.sql":  {Data: []byte("CREATE TABLE users (name TEXT);")},
		"2_orders.up.sql": {Data: []byte("CREATE TABLE orders (amount INTEGER);")},
	}
	applied, err := migrations.Run(context.Background(), db, sqlitemigrations.Engine, files, &migrations.Options{
		LockTimeout: 5 * time.Minute,
		Waiting:     func(held *sqllock.HeldError) { fmt.Println("waiting for", lock.Describe(held)) },
	})
	fmt.Println(applied, err)
	// Output: [1/u users 2/u orders] <nil>
}

// A program that uses golang-migrate's API.
func ExampleLocked() {
	db, done := newDB()
	defer done()

	driver, err := migrations.Locked(func() (database.Driver, error) {
		return migratesqlite.WithInstance(db, &migratesqlite.Config{})
	}, sqlite.New(db), &lock.Options{
		// On SQLite the lock is a lease, which needs sqllock's tables.
		Prepare: func(ctx context.Context) error { return migrations.Up(ctx, db, sqlitemigrations.Engine) },
	})
	if err != nil {
		slog.Error("wrong argument", "error", err)
		return
	}
	source, err := iofs.New(fstest.MapFS{"1_users.up.sql": {Data: []byte("CREATE TABLE users (name TEXT);")}}, ".")
	if err != nil {
		slog.Error("no migrations", "error", err)
		return
	}
	m, err := migrate.NewWithInstance("iofs", source, "sqlite", driver)
	if err != nil {
		slog.Error("wrong argument", "error", err)
		return
	}
	fmt.Println(m.Up())
	fmt.Println(m.Version())
	_, err = m.Close() // also closes the *sql.DB
	fmt.Println(err)
	// Output:
	// <nil>
	// 1 false <nil>
	// <nil>
}
