package sqlite

import (
	"database/sql"
	_ "embed"
	"path/filepath"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
)

func TestConformance(t *testing.T) {
	dialecttest.Run(t, harness)
}

func harness(t *testing.T) dialecttest.Harness {
	path := filepath.Join(t.TempDir(), "locks.db")
	db := open(t, path)
	migrate(t, db)
	return dialecttest.Harness{
		Dialect:      mutated(db),
		DB:           db,
		New:          func(db *sql.DB) dialect.Dialect { return mutated(db) },
		Open:         func(t *testing.T) *sql.DB { return open(t, path) },
		Empty:        func(t *testing.T) *sql.DB { return open(t, filepath.Join(t.TempDir(), "empty.db")) },
		Isolation:    []sql.IsolationLevel{sql.LevelSerializable},
		SingleWriter: true,
		Powers:       dialecttest.Powers{Tx: true, Check: true},
	}
}

// open returns a pool as Open makes it, without waiting for the disk.
func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := Open("sqlite://" + path + "?_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// tables is what `sqllock-migrate schema sqlite` prints. The migrations themselves belong to
// another module. After a new one:
//
//	go run ./cmd/sqllock-migrate schema sqlite > dialect/sqlite/testdata/tables.sql
//
//go:embed testdata/tables.sql
var tables string

func migrate(t *testing.T, db *sql.DB) {
	t.Helper()
	if _, err := db.Exec(tables); err != nil {
		t.Fatal(err)
	}
}
