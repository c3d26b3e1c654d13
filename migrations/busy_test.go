package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"

	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
)

// busyFor is how long other connections keep the database locked. The pools of these tests don't
// wait by themselves.
const busyFor = 200 * time.Millisecond

func impatient(t *testing.T, file, journal string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(0)&_pragma=journal_mode("+journal+")")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// exclude locks the database for all other connections, until the time has passed or the test ends.
func exclude(t *testing.T, db *sql.DB, after time.Duration) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 60000; BEGIN EXCLUSIVE")
	must(t, err)
	done := make(chan struct{})
	time.AfterFunc(after, func() {
		defer close(done)
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		if err = errors.Join(err, conn.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { <-done })
}

// Another connection is writing when the migrations begin, and again when the lock is held. The run
// waits for both.
func TestRunBesideAWriter(t *testing.T) {
	for _, journal := range []string{"WAL", "DELETE"} {
		for _, kind := range []lock.Kind{lock.Auto, lock.None} {
			t.Run(journal+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				file := newFile(t)
				db, other := impatient(t, file, journal), impatient(t, file, journal)
				exclude(t, other, busyFor)
				source := fstest.MapFS{"1_a.up.sql": {Data: []byte("CREATE TABLE a (n INTEGER);")}}
				done, err := migrations.Run(t.Context(), db, engine, source, &migrations.Options{
					LockTimeout: time.Minute, Lock: kind,
					Locked: func(lock.Kind, time.Duration) { exclude(t, other, busyFor) },
				})
				if err != nil || len(done) != 1 {
					t.Errorf("%v, %v", done, err)
				}
			})
		}
	}
}

// With a rollback journal, readers delay the commit, and reading the version waits for writers.
func TestOwnTablesBesideOthers(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	db, other := impatient(t, file, "DELETE"), impatient(t, file, "DELETE")
	exclude(t, other, busyFor)
	m, err := migrations.New(db, engine, &migrations.Options{
		LockTimeout: time.Minute,
		Progress: func(step migrations.Step) {
			if step.Version != engine.Latest() {
				return
			}
			//nolint:rowserrcheck // one row is read
			rows, err := other.Query("SELECT 1 FROM sqlite_master UNION SELECT 1")
			must(t, err)
			if !rows.Next() {
				t.Error("no row")
			}
			time.AfterFunc(busyFor, func() { _ = rows.Close() })
		},
	})
	must(t, err)
	_, err = m.Up(t.Context(), migrations.All)
	must(t, err)
	exclude(t, other, busyFor)
	if at, dirty, err := m.Version(t.Context()); err != nil || dirty || at != int(engine.Latest()) {
		t.Errorf("%d, %t, %v", at, dirty, err)
	}
	exclude(t, other, 5*busyFor)
	hurried, err := migrations.New(db, engine, &migrations.Options{LockTimeout: busyFor})
	must(t, err)
	_, _, err = hurried.Version(t.Context())
	if !errors.Is(err, migrate.ErrLockTimeout) {
		t.Errorf("a version that can't be read within the lock timeout: %v", err)
	}
}
