package integration

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// fingerprint returns all settings of a transaction's session.
func (pg *pgBench) fingerprint(tx *sql.Tx) (settings string) {
	pg.Helper()
	pg.must(tx.QueryRowContext(pg.Context(),
		"SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings").Scan(&settings))
	return settings
}

// TestPostgresTxLockLeavesSettings checks that a lock changes no setting of the caller's
// transaction, whether it was acquired or not.
func TestPostgresTxLockLeavesSettings(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		a, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer a.Rollback()
		b, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer b.Rollback()
		before := pg.fingerprint(b)
		lock := func(tx *sql.Tx, name string, wait, want bool) {
			t.Helper()
			got, err := pg.d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: name}, wait)
			if err != nil || got != want {
				t.Fatalf("LockTx(%q) returned %t, %v", name, got, err)
			}
		}
		lock(a, "busy", false, true)
		lock(b, "busy", false, false)
		lock(b, "free", true, true)
		waited := make(chan error, 1)
		go func() {
			_, err := pg.d.LockTx(t.Context(), dialect.SQL(b), dialect.ServerLock{Name: "busy"}, true)
			waited <- err
		}()
		pg.awaitBlocked()
		pg.must(a.Commit())
		pg.must(<-waited)
		if after := pg.fingerprint(b); after != before {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
		pg.must(b.Commit())
	})
}

// TestPostgresTxLockGivenUp checks that a waiter whose caller has gone doesn't get the lock later:
// its statement is canceled in the server.
func TestPostgresTxLockGivenUp(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		a, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer a.Rollback()
		lock := dialect.ServerLock{Name: "busy"}
		_, err = pg.d.LockTx(t.Context(), dialect.SQL(a), lock, false)
		pg.must(err)
		for range 5 {
			b, err := pg.db.BeginTx(t.Context(), nil)
			pg.must(err)
			ctx, cancel := context.WithCancel(t.Context())
			waited := make(chan error, 1)
			go func() {
				_, err := pg.d.LockTx(ctx, dialect.SQL(b), lock, true)
				waited <- err
			}()
			pg.awaitBlocked()
			cancel()
			if err := <-waited; !errors.Is(err, context.Canceled) {
				t.Errorf("LockTx: %v", err)
			}
			b.Rollback()
			pg.await("no statement waits", `SELECT NOT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock')`)
		}
	})
}

// TestPostgresTxLockTimesOut checks that the server's own limits end a wait with an error, and that
// the lock is not held then.
func TestPostgresTxLockTimesOut(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		a, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer a.Rollback()
		lock := dialect.ServerLock{Name: "busy"}
		_, err = pg.d.LockTx(t.Context(), dialect.SQL(a), lock, false)
		pg.must(err)
		for _, limit := range []string{"lock_timeout=50ms", "statement_timeout=50ms"} {
			db := pg.open(limit)
			b, err := db.BeginTx(t.Context(), nil)
			pg.must(err)
			started := time.Now()
			got, err := pg.d.LockTx(t.Context(), dialect.SQL(b), lock, true)
			if got || err == nil || errors.Is(err, dialect.ErrDeadlock) ||
				pg.d.Classify(err) != dialect.ClassTransient {
				t.Errorf("%s: LockTx returned %t, %v (class %s) after %s",
					limit, got, err, pg.d.Classify(err), time.Since(started))
			}
			pg.must(b.Rollback())
		}
	})
}
