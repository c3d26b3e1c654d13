package integration

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

// pooled has what works through a pooler in transaction mode: leases and transaction locks, and neither sessions nor
// wake-ups.
type pooled struct {
	dialect.Dialect
	dialect.TxLocker
	dialect.Checker
}

func newPooled(db *sql.DB) dialect.Dialect {
	d := postgres.New(db)
	return pooled{d, d, d}
}

// The suite through PgBouncer in transaction mode.
func TestPgBouncerConformance(t *testing.T) {
	server := servers.Start(t, "postgres15")
	through := func(t *testing.T, url string) string { return servers.PgBouncer(t, url).URL }
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		h := harnessThrough(t, server, through)
		h.Dialect, h.New = newPooled(h.DB), newPooled
		h.Powers = dialecttest.Powers{Tx: true, TxShared: true, Check: true}
		return h
	})
}

// What isn't a session is refused, with the reason, however few or many connections the pooler has.
func TestPgBouncerRefusesSessions(t *testing.T) {
	server := servers.Start(t, "postgres15")
	for name, c := range map[string]struct {
		others   int // clients that are busy meanwhile
		settings []string
	}{
		"many":             {0, nil},
		"one":              {0, []string{"default_pool_size=1"}},
		"two":              {0, []string{"default_pool_size=2"}},
		"busy":             {6, nil},
		"busy few":         {6, []string{"default_pool_size=3"}},
		"busy round robin": {6, []string{"server_round_robin=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := newPGBench(t, server.Database(t))
			pooler := servers.PgBouncer(t, pg.url, c.settings...)
			db, err := postgres.Open(pooler.URL)
			pg.must(err)
			defer db.Close()
			d := postgres.New(db)
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			for range c.others {
				group.Go(func() {
					for ctx.Err() == nil {
						_, _ = db.ExecContext(ctx, "SELECT pg_sleep(0.001)")
					}
				})
			}
			defer group.Wait()
			defer cancel()
			for range 10 {
				s, err := d.OpenSession(t.Context(), dialect.SessionOptions{Holder: "test"})
				if err == nil {
					s.Close()
				}
				if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "pooler in transaction mode") ||
					!strings.Contains(err.Error(), "lease locks") || d.Classify(err) != dialect.Permanent {
					t.Fatalf("OpenSession: %v (class %s)", err, d.Classify(err))
				}
			}
			findings, err := d.Check(t.Context())
			pg.must(err)
			if f := finding(t, findings, "sessions"); f.Verdict != dialect.Bad || !strings.Contains(f.Found, "pooler in transaction mode") {
				t.Errorf("Check found %+v", f)
			}
			if _, err := d.Probe(t.Context()); err != nil {
				t.Errorf("leases: %v", err)
			}
			pg.await("nothing is left behind", "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND "+
				"database = (SELECT oid FROM pg_database WHERE datname = current_database()))")
		})
	}
}

// In session mode a connection to the pooler is a session, as long as it lasts.
func TestPgBouncerInSessionMode(t *testing.T) {
	pg := newPGBench(t, servers.Start(t, "postgres15").Database(t))
	pooler := servers.PgBouncer(t, pg.url, "pool_mode=session")
	db, err := postgres.Open(pooler.URL)
	pg.must(err)
	defer db.Close()
	lock := []dialect.ServerLock{{Name: "lock"}}
	first := openPG(t, postgres.New(db), dialect.SessionOptions{Holder: "first"})
	second := openPG(t, postgres.New(db), dialect.SessionOptions{})
	if !tryPG(t, first, lock)[0] || tryPG(t, second, lock)[0] {
		t.Error("not one of the two has the lock")
	}
	pg.must(first.Close())
	pg.awaitFree(second, lock)
}

func finding(t *testing.T, findings []dialect.Finding, what string) dialect.Finding {
	t.Helper()
	for _, f := range findings {
		if f.What == what {
			return f
		}
	}
	t.Fatalf("Check doesn't say a word about %s: %+v", what, findings)
	return dialect.Finding{}
}

func openPG(t *testing.T, d *postgres.Dialect, options dialect.SessionOptions) dialect.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := d.OpenSession(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func tryPG(t *testing.T, s dialect.Session, locks []dialect.ServerLock) []bool {
	t.Helper()
	got, err := s.TryLock(t.Context(), locks)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// awaitFree waits for locks that the server lets go of by itself, and takes them.
func (pg *pgBench) awaitFree(s dialect.Session, locks []dialect.ServerLock) {
	pg.Helper()
	for _, lock := range locks {
		await(pg, "the lock "+lock.Name, patience, func() bool { return tryPG(pg.T, s, []dialect.ServerLock{lock})[0] })
	}
}
