package integration

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

// TestPostgresClassify checks the classes of real failures.
func TestPostgresClassify(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		r := pg.request("guarded")
		pg.acquire(r)
		tx, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer tx.Rollback()
		_, err = pg.d.Guard(t.Context(), dialect.SQL(tx), []dialect.Claim{pgClaim(r)})
		pg.must(err)

		// release waits behind the guard until it fails.
		release := func(ctx context.Context, parameters string) error {
			db := pg.open(parameters)
			defer db.Close()
			_, err := postgres.New(db).Release(ctx, []dialect.Claim{pgClaim(r)})
			return err
		}
		expect := func(what string, err error, want dialect.Class) {
			t.Helper()
			if err == nil || pg.d.Classify(err) != want {
				t.Errorf("%s: %v (class %s), want class %s", what, err, pg.d.Classify(err), want)
			}
		}
		expect("lock_timeout", release(t.Context(), "lock_timeout=50ms"), dialect.ClassTransient)
		expect("statement_timeout", release(t.Context(), "statement_timeout=50ms"), dialect.ClassTransient)

		// The statements are found by application_name, since a canceled one may still wait in the
		// server.
		failed := make(chan error, 1)
		const waits = `FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1 AND wait_event_type = 'Lock'`
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { failed <- release(ctx, "application_name=impatient") }()
		pg.await("the impatient release waits", "SELECT EXISTS (SELECT "+waits+")", "impatient")
		cancel()
		expect("the end of ctx", <-failed, dialect.ClassUnknown)

		go func() { failed <- release(t.Context(), "application_name=victim") }()
		pg.await("the victim waits and is killed",
			"SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) "+waits, "victim")
		expect("pg_terminate_backend", <-failed, dialect.ClassUnknown)

		expect("a wrong database", release(t.Context(), "dbname=never_there"), dialect.ClassPermanent)
		expect("a read-only session", release(t.Context(), "default_transaction_read_only=on"), dialect.ClassReadOnly)
	})
}

// TestPostgresServerDies kills the server during a statement, and restarts it later.
func TestPostgresServerDies(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "postgres15")
	pg := newPGBench(t, server.URL)
	r := pg.request("guarded")
	pg.acquire(r)
	tx, err := pg.db.BeginTx(t.Context(), nil)
	pg.must(err)
	defer tx.Rollback()
	_, err = pg.d.Guard(t.Context(), dialect.SQL(tx), []dialect.Claim{pgClaim(r)})
	pg.must(err)
	failed := make(chan error, 1)
	go func() {
		_, err := pg.d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
		failed <- err
	}()
	pg.awaitBlocked()
	server.Kill()
	if err := <-failed; err == nil || pg.d.Classify(err) != dialect.ClassUnknown {
		t.Errorf("during the statement: %v (class %s)", err, pg.d.Classify(err))
	}
	for range 3 { // the pool's idle connections, then a new one
		_, err = pg.d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
	}
	if err == nil || pg.d.Classify(err) != dialect.ClassTransient {
		t.Errorf("while the server is down: %v (class %s)", err, pg.d.Classify(err))
	}
	server.Restart()
	if released, err := pg.d.Release(t.Context(), []dialect.Claim{pgClaim(r)}); err != nil || !released[0] {
		t.Errorf("after the restart: %t, %v", released, err)
	}
}

// TestPostgresProbeRefuses checks that Probe refuses at once what would fail later, and says what
// to do.
func TestPostgresProbeRefuses(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		expect := func(what, url string, want dialect.Class, advice string) {
			t.Helper()
			db, err := postgres.Open(url)
			pg.must(err)
			defer db.Close()
			d := postgres.New(db)
			_, err = d.Probe(t.Context())
			if err == nil || d.Classify(err) != want || !strings.Contains(err.Error(), advice) {
				t.Errorf("%s: %v (class %s), want class %s and %q", what, err, d.Classify(err), want, advice)
			}
		}
		expect("read-only", pg.url+"&default_transaction_read_only=on", dialect.ClassReadOnly, "primary")
		expect("no tables", pg.url+"&search_path=pg_catalog", dialect.ClassNoSchema, "sqllock-migrate own up")

		role := "r" + strings.ToLower(rand.Text())
		pg.exec(pg.db, "CREATE ROLE "+role)
		t.Cleanup(func() {
			for _, query := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
				if _, err := pg.db.ExecContext(context.Background(), query); err != nil {
					t.Error(err)
				}
			}
		})
		asRole := pg.url + "&role=" + role
		needed := []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
		tables := []string{"sqllock_leases", "sqllock_locks", "sqllock_waiters", "sqllock_outcomes", "sqllock_breaks"}
		for _, table := range tables {
			for _, privilege := range needed {
				if table == "sqllock_breaks" && privilege == "UPDATE" {
					continue // records don't change
				}
				pg.exec(pg.db, fmt.Sprintf("GRANT ALL ON %s TO %s", strings.Join(tables, ", "), role))
				pg.exec(pg.db, fmt.Sprintf("REVOKE %s ON %s FROM %s", privilege, table, role))
				const advice = "role needs SELECT, INSERT, UPDATE and DELETE"
				expect("no "+privilege+" on "+table, asRole, dialect.ClassPermanent, advice)
			}
		}
		pg.exec(pg.db, fmt.Sprintf("REVOKE ALL ON sqllock_leases, sqllock_locks FROM %s", role))
		pg.exec(pg.db,
			fmt.Sprintf("GRANT %s ON %s TO %s", strings.Join(needed, ", "), strings.Join(tables, ", "), role))
		pg.exec(pg.db, "REVOKE UPDATE ON sqllock_breaks FROM "+role)
		db := pg.open("role=" + role)
		if _, err := postgres.New(db).Probe(t.Context()); err != nil {
			t.Errorf("with exactly the privileges that it needs: %v", err)
		}
	})
}

func TestPostgresProbeRefusesAStandby(t *testing.T) {
	t.Parallel()
	primary := servers.Private(t, "postgres15")
	newPGBench(t, primary.URL)
	standby := primary.Standby(t)
	standby.CatchUp(t, primary)
	db, err := postgres.Open(standby.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := postgres.New(db)
	if _, err := d.Probe(t.Context()); d.Classify(err) != dialect.ClassReadOnly {
		t.Errorf("%v (class %s)", err, d.Classify(err))
	}
}

// TestPostgresContentionIsNoError checks that ordinary contention is no error, neither for the
// callers nor in the server's log.
func TestPostgresContentionIsNoError(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "postgres15")
	pg := newPGBench(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for worker := range 12 {
		group.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				// New names make inserts collide, and short leases make takeovers collide.
				key := dialect.Key{Name: fmt.Sprintf("lock %d", round/10)}
				if err := contend(t.Context(), pg.d, key, worker); err != nil {
					t.Errorf("%v (class %s)", err, pg.d.Classify(err))
					return
				}
			}
		})
	}
	group.Wait()

	log, err := os.Open(server.Log())
	pg.must(err)
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		for _, bad := range []string{"ERROR:", "FATAL:", "PANIC:", "WARNING:"} {
			if strings.Contains(lines.Text(), bad) {
				t.Error(lines.Text())
			}
		}
	}
}

// contend does once everything that processes do to each other.
func contend(ctx context.Context, d *postgres.Dialect, key dialect.Key, worker int) error {
	lease := dialect.Lease{
		ID: rand.Text(), Holder: fmt.Sprint("worker ", worker), TTL: time.Duration(worker%3+1) * time.Millisecond,
	}
	if err := d.CreateLease(ctx, lease); err != nil {
		return err
	}
	r := dialect.Request{Key: key, LeaseID: lease.ID, Owner: rand.Text()}
	if _, err := d.Acquire(ctx, []dialect.Request{r}); err != nil {
		return err
	}
	rows, err := d.Get(ctx, []dialect.Key{key})
	if err != nil {
		return err
	}
	expiries, err := d.ExpireLeases(ctx, []string{rows[0].LeaseID})
	if err != nil {
		return err
	}
	if rows[0].Held && expiries[0].Dead {
		_, err = d.Free(ctx, []dialect.DeadHolder{{Key: key, Fence: rows[0].Fence, LeaseID: rows[0].LeaseID}})
	}
	_, renewErr := d.RenewLeases(ctx, []string{lease.ID})
	var releaseErr error
	if worker%2 == 0 {
		_, releaseErr = d.Release(ctx, []dialect.Claim{pgClaim(r)})
	}
	_, expireErr := d.DeleteExpired(ctx, 0, 10)
	_, purgeErr := d.Purge(ctx, 0, 10)
	return errors.Join(err, renewErr, releaseErr, expireErr, purgeErr)
}
