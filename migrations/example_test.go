package migrations_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
)

// A program migrates when it starts, before it makes its sqllock.Client.
func ExampleUp() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		slog.Error("no folder", "error", err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := sqlite.Open("sqlite://" + filepath.Join(folder, "app.db"))
	if err != nil {
		slog.Error("wrong URL", "error", err)
		return
	}
	defer func() { _ = db.Close() }()

	ctx := context.Background()
	if err := migrations.Up(ctx, db, sqlitemigrations.Engine); err != nil {
		slog.Error("can't migrate", "error", err)
		return
	}
	version, dirty, err := migrations.Version(ctx, db, sqlitemigrations.Engine)
	fmt.Println(version == sqlitemigrations.Engine.Latest(), dirty, err)
	// Output: true false <nil>
}

// Progress and a longer patience with another process that migrates.
func ExampleMigrator() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		slog.Error("no folder", "error", err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := sqlite.Open("sqlite://" + filepath.Join(folder, "app.db"))
	if err != nil {
		slog.Error("wrong URL", "error", err)
		return
	}
	defer func() { _ = db.Close() }()

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
