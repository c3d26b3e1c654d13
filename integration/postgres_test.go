package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

// eachPostgres runs f, as a parallel subtest, on a new migrated database of each chosen PostgreSQL
// version.
func eachPostgres(t *testing.T, f func(t *testing.T, pg *pgBench)) {
	t.Helper()
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "postgres15", "postgres18") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f(t, newPGBench(t, servers.Start(t, engine).Database(t)))
		})
	}
}

// pgBench is a dialect on a migrated database, and the means to inspect that database directly.
type pgBench struct {
	*testing.T
	url string
	db  *sql.DB
	d   *postgres.Dialect
}

func newPGBench(t *testing.T, url string) *pgBench {
	t.Helper()
	pg := &pgBench{T: t, url: url}
	pg.db = pg.open("")
	pg.d = postgres.New(pg.db)
	scripts, err := filepath.Glob("../migrations/postgres/*.up.sql")
	pg.must(err)
	conn, err := pg.db.Conn(t.Context())
	pg.must(err)
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		pg.must(err)
		pg.exec(conn, string(text))
	}
	// Flush the statistics of the migrations now, so that they aren't counted with a test's own
	// statements.
	pg.exec(conn, "SELECT pg_stat_force_next_flush()")
	pg.must(conn.Close())
	return pg
}

// open opens another pool, with more parameters in its URL.
func (pg *pgBench) open(parameters string) *sql.DB {
	pg.Helper()
	u, err := url.Parse(pg.url)
	pg.must(err)
	if parameters != "" {
		u.RawQuery += "&" + parameters
	}
	db, err := postgres.Open(u.String())
	pg.must(err)
	pg.Cleanup(func() { db.Close() })
	return db
}

func (pg *pgBench) must(err error) {
	pg.Helper()
	if err != nil {
		pg.Fatal(err)
	}
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (pg *pgBench) exec(on execer, query string, args ...any) {
	pg.Helper()
	if _, err := on.ExecContext(pg.Context(), query, args...); err != nil {
		pg.Fatalf("%s: %v", query, err)
	}
}

// await polls until the query returns true.
func (pg *pgBench) await(what, query string, args ...any) {
	pg.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var ok bool
		pg.must(pg.db.QueryRowContext(pg.Context(), query, args...).Scan(&ok))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			pg.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

// awaitBlocked waits until a statement of this database waits for a lock.
func (pg *pgBench) awaitBlocked() {
	pg.Helper()
	pg.await("a statement waits", `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock')`)
}

func (pg *pgBench) lease(ttl time.Duration) string {
	pg.Helper()
	id := rand.Text()
	pg.must(pg.d.CreateLease(pg.Context(), dialect.Lease{ID: id, Holder: "test", TTL: ttl}))
	return id
}

func (pg *pgBench) request(name string) dialect.Request {
	pg.Helper()
	return dialect.Request{Key: dialect.Key{Name: name}, LeaseID: pg.lease(time.Minute), Owner: rand.Text()}
}

func (pg *pgBench) acquire(r dialect.Request) {
	pg.Helper()
	grants, err := pg.d.Acquire(pg.Context(), []dialect.Request{r})
	pg.must(err)
	if !grants[0].Granted {
		pg.Fatalf("Acquire(%q) was refused", r.Name)
	}
}

func pgClaim(r dialect.Request) dialect.Claim { return dialect.Claim{Key: r.Key, Owner: r.Owner} }

// TestPostgresQueryModes runs every statement in every query mode of pgx, since Probe runs every
// statement.
func TestPostgresQueryModes(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
			if _, err := postgres.New(pg.open("default_query_exec_mode=" + mode)).Probe(t.Context()); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
	})
}

// TestPostgresGuardWithAnOldSnapshot checks that a guard doesn't report a lock as held that its
// snapshot can't show, since the snapshot is older than the acquisition.
func TestPostgresGuardWithAnOldSnapshot(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
			for _, existed := range []bool{false, true} {
				r := pg.request(rand.Text())
				if existed {
					pg.acquire(r)
					_, err := pg.d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
					pg.must(err)
				}
				tx, err := pg.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
				pg.must(err)
				pg.exec(tx, "SELECT count(*) FROM pg_class")
				pg.acquire(r)
				guarded, err := pg.d.Guard(t.Context(), dialect.SQL(tx), []dialect.Claim{pgClaim(r)})
				if err == nil && guarded[0] || err != nil && pg.d.Classify(err) != dialect.ClassTransient {
					t.Errorf("%s, row there before: %t: Guard returned %t, %v", level, existed, guarded, err)
				}
				pg.must(tx.Rollback())
			}
		}
	})
}

// TestPostgresExpiriesAtOnce checks that concurrent calls of ExpireLeases return the truth, and not
// what the snapshot from before their wait showed.
func TestPostgresExpiriesAtOnce(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		t.Run("of the same leases", func(t *testing.T) {
			for range 10 {
				ids := []string{pg.lease(time.Microsecond), pg.lease(time.Microsecond), pg.lease(time.Microsecond)}
				failures := make(chan error, 8)
				for i := range cap(failures) {
					order := slices.Clone(ids)
					if i%2 == 0 {
						slices.Reverse(order)
					}
					go func() {
						expiries, err := pg.d.ExpireLeases(t.Context(), order)
						alive := func(e dialect.Expiry) bool { return !e.Dead }
						if err == nil && slices.ContainsFunc(expiries, alive) {
							err = errors.New("an expired lease is reported as alive")
						}
						failures <- err
					}()
				}
				for range cap(failures) {
					if err := <-failures; err != nil {
						t.Error(err)
					}
				}
			}
		})
		t.Run("while it is renewed", func(t *testing.T) {
			id := pg.lease(time.Microsecond)
			tx, err := pg.db.BeginTx(t.Context(), nil)
			pg.must(err)
			defer tx.Rollback()
			pg.exec(tx,
				"UPDATE sqllock_leases SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = $1", id)
			result := make(chan []dialect.Expiry, 1)
			go func() {
				expiries, err := pg.d.ExpireLeases(t.Context(), []string{id})
				if err != nil {
					t.Error(err)
				}
				result <- expiries
			}()
			pg.awaitBlocked()
			pg.must(tx.Commit())
			if e := <-result; len(e) != 1 || e[0].Dead || e[0].Remaining < time.Hour-time.Minute {
				t.Errorf("a lease with an hour left: %+v", e)
			}
		})
	})
}

// TestPostgresPurgeWaitsForNobody checks that Purge skips rows that another transaction has locked,
// and doesn't wait for it.
func TestPostgresPurgeWaitsForNobody(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		for _, name := range []string{"busy", "idle"} {
			r := pg.request(name)
			pg.acquire(r)
			_, err := pg.d.Release(t.Context(), []dialect.Claim{pgClaim(r)})
			pg.must(err)
		}
		tx, err := pg.db.BeginTx(t.Context(), nil)
		pg.must(err)
		defer tx.Rollback()
		pg.exec(tx, "SELECT FROM sqllock_locks WHERE name = 'busy' FOR UPDATE")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if n, err := pg.d.Purge(ctx, 0, 10); n != 1 || err != nil {
			t.Errorf("Purge beside a locked row: %d, %v; want 1", n, err)
		}
	})
}
