package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// The SQL that schema prints makes tables that a Client takes.
func TestSchema(t *testing.T) {
	code, script, stderr := command(t, "", "schema", "sqlite")
	if code != 0 || stderr != "" || strings.Count(script, " of sqllock\n") != 8 {
		t.Fatalf("schema sqlite: %d, %s\n%s", code, stderr, script)
	}
	database, err := open.URL("sqlite://" + filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.DB.Close()
	if _, err := database.DB.ExecContext(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	locks, err := sqllock.New(t.Context(), database.Dialect,
		&sqllock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := locks.TryAcquire(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := locks.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSchemaCommandLine(t *testing.T) {
	runSteps(t, []step{
		{"schema", "", 2, "", "schema needs the ENGINE: postgres, postgresql, mysql"},
		{"schema oracle", "", 2, "", `there is no engine "oracle"; there are postgres`},
		{"schema postgres mysql", "", 2, "", "too many arguments"},
		{"schema postgres", "", 0, "CREATE TABLE sqllock_leases", ""},
		{"schema mariadb", "", 0, "CREATE TABLE sqllock_leases", ""},
		{"schema mssql", "", 0, "CREATE TABLE sqllock_leases", ""},
		{"schema sqlite --json", "", 0, `"sql": "-- 0001_leases.up.sql of sqllock\n`, ""},
	})
}
