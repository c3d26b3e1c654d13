package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/internal/enginetest"
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
		{"?_busy_timeout=30&_timeout=40", "wal", "40"},
		{"?_busy_timeout=30&_pragma=busy_timeout(50)", "wal", "50"},
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
			t.Errorf("%q: journal %s, busy timeout %s; want %s, %s",
				test.query, journal, timeout, test.journal, test.timeout)
		}
		if err := db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != name {
			t.Errorf("opened %q, want %q", file, name)
		}
	}
}

// A transaction that begins DEFERRED doesn't exclude a second one, and so fails later.
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

// The first connections to a new file all try to make it a write-ahead log.
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

// Connect waits while others keep the file locked, and no longer than ctx lasts. The file isn't a
// write-ahead log yet, and making it one takes the lock.
func TestOpenWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	release := exclude(t, "file:"+path)
	db := open(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), busyFor)
	defer cancel()
	began := time.Now()
	err := db.PingContext(ctx)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) ||
		took > defaultBusyTimeout*time.Millisecond/2 {
		t.Errorf("of a locked file: %v after %s", err, took)
	}
	time.AfterFunc(busyFor, release)
	must(t, db.PingContext(t.Context()))
	var journal string
	must(t, db.QueryRow("PRAGMA journal_mode").Scan(&journal))
	if ms := busyTimeout(t, db); journal != "wal" || ms != defaultBusyTimeout {
		t.Errorf("journal %s, busy timeout %d", journal, ms)
	}
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
		"sqlite://a.db?_timeout=5s":         "milliseconds",
		"sqlite://a.db?_busy_timeout=-1":    "milliseconds",
		"sqlite://a.db?x-migrations-table=": "golang-migrate",
		"sqlite://a.db?a=%zz":               "%zz",
	})
}
