package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// pooled has what works through a pooler in transaction mode: leases and transaction locks, but
// neither sessions nor notifications.
type pooled struct {
	dialect.Dialect
	dialect.TxLocker
	dialect.Checker
}

func newPooled(db *sql.DB) dialect.Dialect {
	d := postgres.New(db)
	return pooled{d, d, d}
}

// poolers are the two kinds of PgBouncer in transaction mode. The first can do less.
var poolers = []poolerKind{
	{"preparing nothing", servers.PgBouncer},
	{"keeping what is prepared", servers.PgBouncerPreparing},
}

type poolerKind struct {
	name  string
	start startPooler
}

type startPooler = func(t testing.TB, url string, settings ...string) *servers.Instance

// eachPooler runs f as a parallel subtest for each of these kinds.
func eachPooler(t *testing.T, kinds []poolerKind, f func(t *testing.T, pooler startPooler)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			f(t, kind.start)
		})
	}
}

// TestPgBouncerConformance runs the conformance suite through PgBouncer in transaction mode, with
// the pool that a URL makes by default.
func TestPgBouncerConformance(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	eachPooler(t, long.Or(poolers[:1], poolers), func(t *testing.T, pooler startPooler) {
		through := func(t *testing.T, url string) string { return pooler(t, url).URL }
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
			h := harnessThrough(t, server, through)
			h.Dialect, h.New = newPooled(h.DB), newPooled
			h.Powers = dialecttest.Powers{Tx: true, TxShared: true, Check: true}
			return h
		})
	})
}

// TestPgBouncerLocks checks that leases and transaction locks work through a pooler with its
// default settings, with any kind of pool and in any query mode. Many callers run at once, so that
// all of the pooler's connections execute their statements. No call may fail, and a closed pool
// must leave nothing behind.
func TestPgBouncerLocks(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	for name, open := range map[string]func(t *testing.T, url string) *sql.DB{
		"by its URL": func(t *testing.T, url string) *sql.DB { return connect(t, url).DB },
		"described each time": func(t *testing.T, url string) *sql.DB {
			return connect(t, withParameter(url, "default_query_exec_mode=describe_exec")).DB
		},
		"by the application": func(t *testing.T, url string) *sql.DB { return stdlib.OpenDB(*pgxConfig(t, url)) },
		"of pgxpool": func(t *testing.T, url string) *sql.DB {
			pool, err := pgxpool.New(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			return stdlib.OpenDBFromPool(pool)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachPooler(t, poolers, func(t *testing.T, pooler startPooler) {
				db := open(t, pooler(t, database(t, server), "default_pool_size=5").URL)
				defer db.Close()
				var log bytes.Buffer
				warnings := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
				c, err := sqllock.New(t.Context(), postgres.New(db),
					&sqllock.Options{Logger: slog.New(warnings), PollOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				useLocks(t, c, db)
				if err := c.Close(t.Context()); err != nil || log.Len() > 0 {
					t.Errorf("Close: %v; the log:\n%s", err, &log)
				}
			})
		})
	}
}

// useLocks makes all calls that work without a session, many at once. A call that fails with one of
// the SQLSTATEs in again is made a second time.
func useLocks(t *testing.T, c *sqllock.Client, db *sql.DB, again ...string) {
	t.Helper()
	var group sync.WaitGroup
	for i := range 12 {
		name := fmt.Sprintf("lock/%d", i%4)
		group.Go(func() {
			for j := range 5 {
				key := fmt.Sprintf("key/%s/%d/%d", rand.Text(), i, j)
				err := useLock(t.Context(), c, db, name, key)
				if state, ok := errors.AsType[*pgconn.PgError](err); ok && slices.Contains(again, state.Code) {
					err = useLock(t.Context(), c, db, name, key)
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	group.Wait()
	if _, err := heldLocks(t.Context(), c); err != nil {
		t.Error("Locks:", err)
	}
	if _, err := c.Reap(t.Context()); err != nil {
		t.Error("Reap:", err)
	}
}

func useLock(ctx context.Context, c *sqllock.Client, db *sql.DB, name, key string) error {
	err := c.Do(ctx, name, func(ctx context.Context, lock *sqllock.Lock) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := c.AcquireTx(ctx, tx, name); err != nil {
			return err
		}
		work := func(context.Context) ([]byte, error) { return []byte(name), nil }
		if _, err := once.DoTx(ctx, c, tx, key, work); err != nil {
			return err
		}
		if err := lock.Guard(ctx, tx); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		return err
	}
	out, err := once.Do(ctx, c, key, func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
	if err == nil && string(out.Result) != name {
		err = fmt.Errorf("once.Do of %s returned another outcome than once.DoTx: %+v", key, out)
	}
	return err
}

// crossing is a connector that switches from one address to another.
type crossing struct {
	to [2]driver.Connector
	at atomic.Int32
}

func (c *crossing) Connect(ctx context.Context) (driver.Conn, error) {
	return c.to[c.at.Load()].Connect(ctx)
}

func (c *crossing) Driver() driver.Driver { return c.to[0].Driver() }

// TestPgBouncerComesBetween puts a pooler between the Client and the server later on, as when an
// address is given to a pooler. The Client notices that by the statements that fail, once.
func TestPgBouncerComesBetween(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "postgres15"))
	pooled := servers.PgBouncer(t, url, "default_pool_size=5").URL
	to := &crossing{to: [2]driver.Connector{
		stdlib.GetConnector(*pgxConfig(t, url)), stdlib.GetConnector(*pgxConfig(t, pooled)),
	}}
	db := sql.OpenDB(to)
	defer db.Close()
	c, err := sqllock.New(t.Context(), postgres.New(db), &sqllock.Options{PollOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	useLocks(t, c, db)
	to.at.Store(1)
	db.SetMaxIdleConns(0) // closes the pool's connections
	db.SetMaxIdleConns(2)
	var group sync.WaitGroup
	for i := range 12 { // at once, so that the pooler's connections change
		group.Go(func() {
			for range 3 {
				if err := c.Do(t.Context(), fmt.Sprintf("lock/%d", i), nothing); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	// If none of these calls has noticed the pooler, the statements of a caller's own transaction
	// do. They can't be sent again in it.
	useLocks(t, c, db, "42P05", "26000")
}

// TestPgBouncerRefusesDriversThatPrepare checks that a driver around pgx, through which the dialect
// can't choose how a statement is sent, is refused behind a pooler. The error names the setting
// that makes it work.
func TestPgBouncerRefusesDriversThatPrepare(t *testing.T) {
	t.Parallel()
	url := servers.PgBouncer(t, database(t, servers.Start(t, "postgres15"))).URL
	db := sql.OpenDB(transparent{wrapped{stdlib.GetConnector(*pgxConfig(t, url))}})
	defer db.Close()
	c, err := sqllock.New(t.Context(), postgres.New(db), nil)
	if err == nil {
		c.Close(t.Context())
	}
	if !errors.Is(err, sqllock.ErrUnsupported) || !strings.Contains(err.Error(), "default_query_exec_mode=exec") {
		t.Errorf("New: %v", err)
	}
}

func pgxConfig(t *testing.T, url string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestPgBouncerRefusesSessions checks that session locks are refused with the reason, since a
// connection to the pooler isn't a session, however few or many connections the pooler has.
func TestPgBouncerRefusesSessions(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	for name, c := range map[string]struct {
		others   int // clients that keep the pooler busy meanwhile
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
				if !errors.Is(err, dialect.ErrUnsupported) ||
					!strings.Contains(err.Error(), "pooler in transaction mode") ||
					!strings.Contains(err.Error(), "lease locks") || d.Classify(err) != dialect.ClassPermanent {
					t.Fatalf("OpenSession: %v (class %s)", err, d.Classify(err))
				}
			}
			findings, err := d.Check(t.Context())
			pg.must(err)
			f := finding(t, findings, "sessions")
			if f.Verdict != dialect.VerdictBad || !strings.Contains(f.Found, "pooler in transaction mode") {
				t.Errorf("Check found %+v", f)
			}
			if _, err := d.Probe(t.Context()); err != nil {
				t.Errorf("leases: %v", err)
			}
			pg.await("nothing is left behind", "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' "+
				"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))")
		})
	}
}

// TestPgBouncerComesBetweenSessions checks that a session that turns out to be served by several
// server processes takes and releases locks in its own only. The others are other clients'.
func TestPgBouncerComesBetweenSessions(t *testing.T) {
	t.Parallel()
	pg := newPGBench(t, servers.Start(t, "postgres15").Database(t))
	config := pgxConfig(t, servers.PgBouncer(t, pg.url, "default_pool_size=2").URL)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	to := &crossing{to: [2]driver.Connector{stdlib.GetConnector(*pgxConfig(t, pg.url)), stdlib.GetConnector(*config)}}
	db := sql.OpenDB(to)
	defer db.Close()
	d := postgres.New(db, postgres.WithConnector(to))
	pg.must(openPG(t, d, dialect.SessionOptions{}).Close()) // the only one that is tried
	to.at.Store(1)
	others := stdlib.OpenDB(*config)
	defer others.Close()
	first := openPG(t, d, dialect.SessionOptions{})
	tx, err := others.BeginTx(t.Context(), nil) // has the first session's process for itself
	pg.must(err)
	defer tx.Rollback()
	second := openPG(t, d, dialect.SessionOptions{})
	lock := []dialect.ServerLock{{Name: "lock"}}
	if !tryPG(t, second, lock)[0] {
		t.Error("the second session's process replies, so TryLock should have taken the lock")
	}
	refuse := func(what string, got []bool, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "pooler in transaction mode") {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	held := func(want int) {
		t.Helper()
		var locks int
		pg.must(pg.db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "+
			"AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&locks))
		if locks != want {
			t.Errorf("the server has %d locks, want %d", locks, want)
		}
	}
	got, err := first.TryLock(t.Context(), []dialect.ServerLock{{Name: "another"}})
	refuse("TryLock", got, err)
	got, err = first.Unlock(t.Context(), lock)
	refuse("Unlock of the second session's lock", got, err)
	held(1)
	if got, err = second.Unlock(t.Context(), lock); err != nil || !got[0] {
		t.Errorf("Unlock: %v, %v", got, err)
	}
	held(0)
}

// TestPgBouncerInSessionMode checks that in session mode a connection to the pooler is a session
// for as long as it lasts.
func TestPgBouncerInSessionMode(t *testing.T) {
	t.Parallel()
	pg := newPGBench(t, servers.Start(t, "postgres15").Database(t))
	pooler := servers.PgBouncer(t, pg.url, "pool_mode=session")
	db, err := postgres.Open(pooler.URL)
	pg.must(err)
	defer db.Close()
	lock := []dialect.ServerLock{{Name: "lock"}}
	first := openPG(t, postgres.New(db), dialect.SessionOptions{Holder: "first"})
	second := openPG(t, postgres.New(db), dialect.SessionOptions{})
	if !tryPG(t, first, lock)[0] || tryPG(t, second, lock)[0] {
		t.Error("want the first session to have the lock, and the second not")
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
	t.Fatalf("Check has no finding about %s: %+v", what, findings)
	return dialect.Finding{}
}

func openPG(t *testing.T, d *postgres.Dialect, options dialect.SessionOptions) dialect.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
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

// awaitFree waits for locks that the server releases by itself, and takes them.
func (pg *pgBench) awaitFree(s dialect.Session, locks []dialect.ServerLock) {
	pg.Helper()
	for _, lock := range locks {
		one := []dialect.ServerLock{lock}
		await(pg, "the lock "+lock.Name, stepTimeout, func() bool { return tryPG(pg.T, s, one)[0] })
	}
}
