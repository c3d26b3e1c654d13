package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

func sessionLocks(prefix string, n int) []dialect.ServerLock {
	locks := make([]dialect.ServerLock, n)
	for i := range locks {
		locks[i].Name = fmt.Sprint(prefix, i)
	}
	return locks
}

// TestPostgresSessionThousand takes a thousand locks of one session in one statement, which takes
// each of them exactly once. A lock that was taken twice would still be held after one unlock.
func TestPostgresSessionThousand(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		a := openPG(t, pg.d, dialect.SessionOptions{Holder: "a"})
		b := openPG(t, pg.d, dialect.SessionOptions{Holder: "b"})
		locks := sessionLocks("lock/", 1000)
		for i := range locks {
			locks[i].Shared = i%3 == 0
		}
		started := time.Now()
		for i, got := range tryPG(t, a, locks) {
			if !got {
				t.Fatalf("%s was refused", locks[i].Name)
			}
		}
		took := time.Since(started)
		pg.await("a thousand locks", "SELECT count(*) = 1000 FROM pg_locks WHERE locktype = 'advisory' AND database = "+
			"(SELECT oid FROM pg_database WHERE datname = current_database())")
		started = time.Now()
		ours, err := a.Unlock(t.Context(), locks)
		pg.must(err)
		t.Logf("1000 session locks: %s to take, %s to release", took, time.Since(started))
		for i := range locks {
			if !ours[i] {
				t.Fatalf("%s wasn't held", locks[i].Name)
			}
			locks[i].Shared = false
		}
		for i, got := range tryPG(t, b, locks) {
			if !got {
				t.Fatalf("%s is held after its unlock", locks[i].Name)
			}
		}
	})
}

// TestPostgresSessionHolder checks that HeldBy returns the name that the holder gave, by which its
// connection can be found in the server.
func TestPostgresSessionHolder(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		holder := "app-1 " + strings.Repeat("x", 56) + "äöü" // 63 bytes end within the ä
		a := openPG(t, pg.d, dialect.SessionOptions{Holder: holder})
		b := openPG(t, pg.d, dialect.SessionOptions{Holder: "b"})
		locks := sessionLocks("lock/", 3)
		tryPG(t, a, locks[1:])
		seen, err := b.HeldBy(t.Context(), locks)
		pg.must(err)
		var pid, age int64
		const query = `SELECT pid, (extract(epoch FROM clock_timestamp() - backend_start) * 1000)::bigint
			FROM pg_stat_activity WHERE application_name = $1`
		pg.must(pg.db.QueryRowContext(t.Context(), query, holder[:62]).Scan(&pid, &age))
		want := fmt.Sprintf("%s (pid %d, 127.0.0.1)", holder[:62], pid)
		if seen[0] != (dialect.SessionHolder{}) || seen[1].Holder != want || seen[2] != seen[1] {
			t.Errorf("held by %+v, want %q", seen, want)
		}
		if off := time.Since(seen[1].Since) - time.Duration(age)*time.Millisecond; off.Abs() > time.Minute {
			t.Errorf("since %s, by the server's clock %d ms ago", seen[1].Since, age)
		}
	})
}

// TestPostgresSessionIdle checks that a client that is silent for too long loses its session, and
// its locks with it, by the server's own clock.
func TestPostgresSessionIdle(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		a := openPG(t, pg.d, dialect.SessionOptions{Holder: "a", Idle: 300 * time.Millisecond})
		b := openPG(t, pg.d, dialect.SessionOptions{Holder: "b"})
		lock := sessionLocks("lock/", 1)
		tryPG(t, a, lock)
		if tryPG(t, b, lock)[0] {
			t.Fatal("the lock was given twice")
		}
		pg.awaitFree(b, lock)
		if err := a.Ping(t.Context()); err == nil {
			t.Error("Ping works in a session that the server has ended")
		}
		pg.must(b.Ping(t.Context()))
	})
}

func TestPostgresSessionRefusesAStandby(t *testing.T) {
	t.Parallel()
	primary := servers.Private(t, "postgres15")
	newPGBench(t, primary.URL)
	standby := primary.Standby(t)
	db, err := postgres.Open(standby.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := postgres.New(db)
	if _, err := d.OpenSession(t.Context(), dialect.SessionOptions{}); !errors.Is(err, dialect.ErrUnsupported) ||
		!strings.Contains(err.Error(), "standby") || !strings.Contains(err.Error(), "primary") {
		t.Errorf("OpenSession: %v", err)
	}
	findings, err := d.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"writes", "sessions"} {
		if f := finding(t, findings, what); f.Verdict != dialect.VerdictBad || !strings.Contains(f.Found, "standby") {
			t.Errorf("Check found %+v", f)
		}
	}
}

// TestPostgresSessionRefusesStubs checks that advisory locks that lock nothing are refused.
// Products that are compatible with PostgreSQL have had such locks. Functions of the test stand in
// for them here.
func TestPostgresSessionRefusesStubs(t *testing.T) {
	t.Parallel()
	for name, function := range map[string]string{
		"only pretends":      "pg_try_advisory_lock(bigint) RETURNS boolean RETURN true",
		"nobody has":         "pg_try_advisory_lock(bigint) RETURNS boolean RETURN false",
		"couldn't be let go": "pg_advisory_unlock(bigint) RETURNS boolean RETURN false",
		"has no advisory lock": "pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE plpgsql AS " +
			"$$BEGIN RAISE SQLSTATE '0A000'; END$$",
	} {
		t.Run(name, func(t *testing.T) {
			eachPostgres(t, func(t *testing.T, pg *pgBench) {
				pg.exec(pg.db, "CREATE FUNCTION public."+function)
				d := postgres.New(pg.open("search_path=public,pg_catalog"))
				if name == "only pretends" { // the transaction lock only pretends too
					pg.exec(pg.db,
						"CREATE FUNCTION public.pg_try_advisory_xact_lock(bigint) RETURNS boolean RETURN true")
				}
				_, err := d.OpenSession(t.Context(), dialect.SessionOptions{})
				if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), name) {
					t.Errorf("OpenSession: %v", err)
				}
			})
		})
	}
}

// TestPostgresSessionSilentServer checks that a frozen server blocks no caller: a ping ends with
// its ctx, and Close doesn't wait.
func TestPostgresSessionSilentServer(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "postgres15")
	pg := newPGBench(t, server.URL)
	a := openPG(t, pg.d, dialect.SessionOptions{Holder: "a"})
	b := openPG(t, pg.d, dialect.SessionOptions{Holder: "b"})
	locks := sessionLocks("lock/", 2)
	tryPG(t, a, locks[:1])
	tryPG(t, b, locks[1:])
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	started := time.Now()
	if err := a.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping: %v", err)
	}
	called := make(chan error, 1)
	limited, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	go func() { called <- b.Ping(limited) }()
	time.Sleep(50 * time.Millisecond) // until the ping is in flight, for which there is no event
	for _, s := range []dialect.Session{a, b} {
		s.Close()
	}
	if err := <-called; err == nil {
		t.Error("Ping worked on a frozen server")
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("the pings and Close took %s", took)
	}
	server.Cont()
	pg.awaitFree(openPG(t, pg.d, dialect.SessionOptions{}), locks)
}

// TestPostgresSessionWaitersAreQuiet lets ten waiters poll for a lock: CREATE INDEX CONCURRENTLY
// succeeds beside them, and the server logs nothing.
func TestPostgresSessionWaitersAreQuiet(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "postgres15")
	pg := newPGBench(t, server.URL)
	target := connect(t, server.URL)
	before := logLength(t, server)
	lock := sessionLocks("lock/", 1)
	tryPG(t, openPG(t, pg.d, dialect.SessionOptions{}), lock)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	for range 10 {
		s := openPG(t, pg.d, dialect.SessionOptions{})
		group.Go(func() {
			for ctx.Err() == nil {
				if got, err := s.TryLock(t.Context(), lock); err != nil || got[0] {
					t.Errorf("TryLock returned %t, %v", got, err)
					return
				}
			}
		})
	}
	indexing, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	_, err := pg.db.ExecContext(indexing, "CREATE INDEX CONCURRENTLY by_holder ON sqllock_leases (holder)")
	pg.must(err)
	cancel()
	group.Wait()
	for _, line := range noisy(t, server, target, before) {
		t.Errorf("in the server's log: %s", line)
	}
}
