package integration

import (
	"database/sql"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

// wire counts messages on a connection.
type wire struct {
	mu sync.Mutex
	wireCount
}

type wireCount struct {
	roundTrips   int // requests that ask for a reply
	statements   int // executed statements
	transactions int // transactions that had ended by the end of a round trip
}

func (w *wire) Write(trace []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(trace)) {
		switch fields := strings.Fields(line); {
		case len(fields) < 2:
		case fields[0] == "F" && (fields[1] == "Sync" || fields[1] == "Query"):
			w.roundTrips++
		case fields[0] == "B" && fields[1] == "CommandComplete":
			w.statements++
		case fields[0] == "B" && fields[1] == "ReadyForQuery" && fields[len(fields)-1] == "I":
			w.transactions++
		}
	}
	return len(trace), nil
}

// during returns the counts of what f sends.
func (w *wire) during(f func()) wireCount {
	w.mu.Lock()
	before := w.wireCount
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	return wireCount{
		roundTrips:   w.roundTrips - before.roundTrips,
		statements:   w.statements - before.statements,
		transactions: w.transactions - before.transactions,
	}
}

// traced returns a pool of one connection whose messages are counted.
func (pg *pgBench) traced() (*sql.DB, *wire) {
	pg.Helper()
	config, err := pgx.ParseConfig(pg.url)
	pg.must(err)
	w := &wire{}
	config.BuildFrontend = func(r io.Reader, out io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, out)
		f.Trace(w, pgproto3.TracerOptions{SuppressTimestamps: true})
		return f
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(1)
	pg.Cleanup(func() { db.Close() })
	return db, w
}

// TestPostgresOneRoundTripOneCommit checks that each operation of the hot path is one statement in
// one round trip and a transaction of its own, which is one commit.
func TestPostgresOneRoundTripOneCommit(t *testing.T) {
	eachPostgres(t, func(t *testing.T, pg *pgBench) {
		db, w := pg.traced()
		d, ctx := postgres.New(db), t.Context()
		r := pg.request("hot")
		steps := []struct {
			what string
			call func() (bool, error)
		}{
			{"acquire", func() (bool, error) {
				grants, err := d.Acquire(ctx, []dialect.Request{r})
				return err == nil && grants[0].Granted, err
			}},
			{"renew", func() (bool, error) {
				renewed, err := d.RenewLeases(ctx, []string{r.LeaseID})
				return err == nil && renewed[0], err
			}},
			{"release", func() (bool, error) {
				released, err := d.Release(ctx, []dialect.Claim{pgClaim(r)})
				return err == nil && released[0], err
			}},
			{"get a free row", func() (bool, error) {
				rows, err := d.Get(ctx, []dialect.Key{r.Key})
				return err == nil && !rows[0].Held, err
			}},
		}
		for round := range 5 {
			for _, step := range steps {
				count := w.during(func() {
					if ok, err := step.call(); err != nil || !ok {
						t.Fatalf("%s: %t, %v", step.what, ok, err)
					}
				})
				// In the first round the driver prepares each statement, once per connection.
				if want := (wireCount{1, 1, 1}); round > 0 && count != want {
					t.Errorf("%s: %+v, want %+v", step.what, count, want)
				}
			}
		}
	})
}

// TestPostgresHeapOnlyUpdates checks that Acquire, Release and heartbeats rewrite the row on its
// page and leave every index alone. The server runs without autovacuum: its ANALYZE holds a
// snapshot, and until that ends no old version of a row makes room on its page.
func TestPostgresHeapOnlyUpdates(t *testing.T) {
	private(t, []string{"postgres15", "postgres18"}, func(t *testing.T, engine string) {
		pg := newPGBench(t, servers.Private(t, engine, servers.Args("-c", "autovacuum=off")).URL)
		db := pg.open("")
		db.SetMaxOpenConns(1) // one server process, so that its statistics can be queried
		d, ctx := postgres.New(db), t.Context()
		const names, rounds = 200, 10
		lease := pg.lease(time.Minute)
		for round := range rounds {
			for name := range names {
				r := dialect.Request{
					Key: dialect.Key{Name: fmt.Sprintf("a name of some length/%d", name)}, LeaseID: lease,
					Owner: fmt.Sprintf("owner of some length %d", round), Note: "a note",
				}
				grants, err := d.Acquire(ctx, []dialect.Request{r})
				pg.must(err)
				released, err := d.Release(ctx, []dialect.Claim{pgClaim(r)})
				pg.must(err)
				if !grants[0].Granted || !released[0] {
					t.Fatalf("round %d of %q: %+v, %t", round, r.Name, grants, released)
				}
			}
			_, err := d.RenewLeases(ctx, []string{lease})
			pg.must(err)
		}
		pg.exec(db, "SELECT pg_stat_force_next_flush()")
		for table, want := range map[string]int{"sqllock_locks": names * (2*rounds - 1), "sqllock_leases": rounds} {
			var updates, hot int
			const query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1"
			pg.must(db.QueryRowContext(ctx, query, table).Scan(&updates, &hot))
			t.Logf("%s: %d of %d updates heap-only", table, hot, updates)
			if updates != want || float64(hot) < 0.98*float64(updates) {
				t.Errorf("%s: %d updates, want %d; %d of them heap-only, want nearly all", table, updates, want, hot)
			}
		}
	})
}
