package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/internal/enginetest"
)

func TestOpenSettings(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		query, journal, timeout string
	}{
		{"", "wal", "5000"},
		{"?_busy_timeout=250", "wal", "250"},
		{"?_pragma=busy_timeout(300)&_pragma=journal_mode(DELETE)", "delete", "300"},
		{"?_journal=TRUNCATE&_timeout=20", "truncate", "20"},
	} {
		name := strings.NewReplacer("?", "", "&", "", "=", "").Replace(test.query) + " 100%.db"
		db, err := Open("sqlite://" + strings.ReplaceAll(filepath.Join(dir, name), "%", "%25") + test.query)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		var journal, timeout, file string
		if err := db.QueryRow("PRAGMA journal_mode").Scan(&journal); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("PRAGMA busy_timeout").Scan(&timeout); err != nil {
			t.Fatal(err)
		}
		if journal != test.journal || timeout != test.timeout {
			t.Errorf("%q: journal %s, busy timeout %s; want %s, %s", test.query, journal, timeout, test.journal, test.timeout)
		}
		if err := db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != name {
			t.Errorf("opened %q, want %q", file, name)
		}
	}
}

// A transaction that would begin DEFERRED doesn't bar a second one, and so fails later.
func TestOpenBeginsImmediate(t *testing.T) {
	db, err := Open("sqlite3://" + filepath.Join(t.TempDir(), "a.db") + "?_busy_timeout=1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if second, err := db.Begin(); err == nil {
		_ = second.Rollback()
		t.Fatal("two transactions began at once: they aren't IMMEDIATE")
	}
}

// The first connections to a new file all want to make it a write-ahead log.
func TestOpenManyAtOnce(t *testing.T) {
	url := "sqlite://" + filepath.Join(t.TempDir(), "a.db")
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			db, err := Open(url)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = db.Close() }()
			if _, err := db.ExecContext(context.Background(), "CREATE TABLE IF NOT EXISTS t (n INTEGER)"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestOpenRefuses(t *testing.T) {
	enginetest.OpenRefuses(t, Open, map[string]string{
		"":                                  "begin with",
		"sqlite:a.db":                       "begin with",
		"postgres://h/db":                   "sqlite://",
		"sqlite://":                         "no file",
		"sqlite:///tmp/":                    "directory",
		"sqlite://:memory:":                 "memory",
		"sqlite://a.db?mode=memory":         "memory",
		"sqlite://a%zz.db":                  "percent",
		"sqlite://a%00.db":                  "zero byte",
		"sqlite://a.db?_busytimeout=5":      `"_busytimeout"`,
		"sqlite://a.db?_txlock=deferred":    "_txlock=deferred",
		"sqlite://a.db?x-migrations-table=": "golang-migrate",
		"sqlite://a.db?a=%zz":               "%zz",
	})
}
