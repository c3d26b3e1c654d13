package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// TestPgxConformance runs the conformance suite on pgx itself, without database/sql.
func TestPgxConformance(t *testing.T) {
	private(t, []string{"postgres15", "postgres18"}, func(t *testing.T, engine string) {
		s := servers.Start(t, engine)
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness { return pgxHarness(t, s, nil) })
	})
}

// TestPgxPgBouncerConformance runs the conformance suite through PgBouncer in transaction mode, on
// a pgxpool with its default settings.
func TestPgxPgBouncerConformance(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	eachPooler(t, long.Or(poolers[:1], poolers), func(t *testing.T, pooler startPooler) {
		dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
			h := pgxHarness(t, server, func(url string) string { return pooler(t, url).URL })
			d := h.Dialect.(*postgres.Dialect)
			h.Dialect, h.Powers = pooled{d, d, d}, dialecttest.Powers{Tx: true, TxShared: true, Check: true}
			return h
		})
	})
}

// TestPgxPgBouncerLocks checks that all locks that need no session work through PgBouncer, many at
// once, on a pgxpool and in its transactions. Sessions are refused with the reason.
func TestPgxPgBouncerLocks(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "postgres15")
	eachPooler(t, poolers, func(t *testing.T, pooler startPooler) {
		pool := openPgx(t, pooler(t, database(t, server), "default_pool_size=5").URL, nil)
		d := postgres.NewPool(pool)
		var log lines
		warnings := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})
		c, err := sqllock.New(t.Context(), d, &sqllock.Options{Logger: slog.New(warnings), PollOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for i := range 12 {
			group.Go(func() {
				for j := range 5 {
					name, key := fmt.Sprintf("lock/%d", i%4), fmt.Sprintf("key/%d/%d", i, j)
					if err := usePgx(t.Context(), c, pool, name, key); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if err := c.Close(t.Context()); err != nil || log.String() != "" {
			t.Errorf("Close: %v; the log:\n%s", err, log.String())
		}
		if _, err := d.OpenSession(t.Context(), dialect.SessionOptions{}); !errors.Is(err, dialect.ErrUnsupported) {
			t.Errorf("OpenSession: %v", err)
		}
		if _, err := d.OpenListener(t.Context(), "listener"); !errors.Is(err, dialect.ErrUnsupported) {
			t.Errorf("OpenListener: %v", err)
		}
	})
}

// usePgx makes all calls that take a transaction in one of pgx's transactions.
func usePgx(ctx context.Context, c *sqllock.Client, pool *pgxpool.Pool, name, key string) error {
	return postgres.DoTx(ctx, pool, c, name, func(ctx context.Context, tx pgx.Tx) error {
		if err := c.AcquireTx(ctx, postgres.Tx(tx), name); err != nil {
			return err
		}
		work := func(context.Context) ([]byte, error) { return []byte(name), nil }
		_, err := once.DoTx(ctx, c, postgres.Tx(tx), key, work)
		return err
	})
}

// TestPgxDoTx checks that DoTx commits under the lock, and that any failure leaves nothing
// committed and the lock free.
func TestPgxDoTx(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"postgres15", "postgres18"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			pgxDoTx(t, database(t, servers.Start(t, engine)))
		})
	}
}

func pgxDoTx(t *testing.T, url string) {
	pool := openPgx(t, url, nil)
	serializable := openPgx(t, url, func(config *pgxpool.Config) {
		config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	})
	for _, text := range []string{
		"CREATE TABLE counter (n int)", "INSERT INTO counter VALUES (0), (0)",
		"CREATE TABLE debt (id int PRIMARY KEY, of int REFERENCES debt DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	c, err := sqllock.New(t.Context(), postgres.NewPool(pool),
		&sqllock.Options{ReapEvery: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	add := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1")
		return err
	}
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, test := range []struct {
		what string
		pool postgres.Beginner
		fn   func(ctx context.Context, tx pgx.Tx) error
		want error
		text string // part of the error's text
	}{
		{"it works", pool, add, nil, ""},
		{"fn fails", pool, func(ctx context.Context, tx pgx.Tx) error {
			return errors.Join(add(ctx, tx), broken)
		}, broken, "broken"},
		{"fn swallows an error", pool, func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "INSERT INTO nowhere VALUES (1)")
			return nil
		}, errAny, "aborted"},
		{"fn commits", pool, func(ctx context.Context, tx pgx.Tx) error {
			return tx.Commit(ctx)
		}, sqllock.ErrInvalid, "has ended"},
		{"the commit is refused", pool, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO debt VALUES (1, 2)")
			return errors.Join(err, add(ctx, tx))
		}, errAny, "committing under lock"},
		{
			"each of two transactions has read what the other writes", serializable,
			func(ctx context.Context, tx pgx.Tx) error {
				return writeSkew(ctx, serializable, tx)
			}, sqllock.ErrRetryTx, "40001",
		},
		{"the lock is lost", pool, func(ctx context.Context, tx pgx.Tx) error {
			const takeAway = "UPDATE sqllock_locks SET owner = 'another' WHERE name = 'counter'"
			if _, err := pool.Exec(ctx, takeAway); err != nil {
				return err
			}
			return add(ctx, tx)
		}, sqllock.ErrLost, "lock lost"},
		{"ctx ends", pool, func(ctx context.Context, tx pgx.Tx) error {
			err := add(ctx, tx)
			cancel()
			return err
		}, context.Canceled, "canceled"},
	} {
		before := counted(t, pool)
		err := postgres.DoTx(ctx, test.pool, c, "counter", test.fn)
		switch after := counted(t, pool); {
		case test.want == nil:
			if err != nil || after != before+2 {
				t.Errorf("%s: %v; the sum went from %d to %d", test.what, err, before, after)
			}
		case err == nil || after != before || !errors.Is(test.want, errAny) && !errors.Is(err, test.want) ||
			!strings.Contains(err.Error(), test.text):
			t.Errorf("%s: %v; want %v with the text %q; the sum went from %d to %d",
				test.what, err, test.want, test.text, before, after)
		}
		if errors.Is(test.want, sqllock.ErrLost) {
			if _, err := pool.Exec(t.Context(), "DELETE FROM sqllock_locks"); err != nil {
				t.Fatal(err)
			}
		}
		mustRelease(t, mustTry(t, c, "counter"))
	}
	if err := postgres.DoTx(t.Context(), pool, c, "counter", nil); !errors.Is(err, sqllock.ErrInvalid) {
		t.Errorf("no function: %v", err)
	}
	err = c.DoTx(t.Context(), "counter", func(context.Context, *sql.Tx) error { return nil })
	if !errors.Is(err, sqllock.ErrUnsupported) || !strings.Contains(err.Error(), "postgres.DoTx") {
		t.Errorf("DoTx of the Client: %v; want ErrUnsupported that names postgres.DoTx", err)
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

func counted(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT sum(n) FROM counter").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeSkew commits another transaction, which makes tx fail at its commit.
func writeSkew(ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx) error {
	other, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer other.Rollback(ctx) //nolint:errcheck // after Commit there is nothing to roll back
	for _, one := range []pgx.Tx{tx, other} {
		if _, err := one.Exec(ctx, "SELECT sum(id) FROM debt"); err != nil {
			return err
		}
	}
	if _, err := other.Exec(ctx, "INSERT INTO debt VALUES (10, NULL)"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO debt VALUES (11, NULL)"); err != nil {
		return err
	}
	return other.Commit(ctx)
}

// TestPgxCheckPool checks that Check reports the limit of a pgxpool, and connections that don't
// live long.
func TestPgxCheckPool(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "postgres18"))
	check := func(d *postgres.Dialect, verdict dialect.Verdict, text string) {
		t.Helper()
		findings, err := d.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, findings, "pool"); f.Verdict != verdict || !strings.Contains(f.Found+f.Advice, text) {
			t.Errorf("%+v; want %s with the text %q", f, verdict, text)
		}
	}
	const connections = 12
	pool := openPgx(t, url, func(config *pgxpool.Config) {
		config.MaxConns = connections
		config.MaxConnIdleTime, config.HealthCheckPeriod = time.Millisecond, 2*time.Millisecond
	})
	d := postgres.NewPool(pool)
	check(d, dialect.VerdictGood, "at most 12 are open")
	for pool.Stat().MaxIdleDestroyCount() < 60 {
		for _, conn := range acquireAll(t, pool, connections) {
			conn.Release()
		}
	}
	check(d, dialect.VerdictNotice, "pool_max_conn_idle_time")
	full := openPgx(t, url, func(config *pgxpool.Config) { config.MaxConns = 2 })
	d = postgres.NewPool(full)
	check(d, dialect.VerdictGood, "at most 2 are open")
}

func acquireAll(t *testing.T, pool *pgxpool.Pool, n int) (all []*pgxpool.Conn) {
	t.Helper()
	for range n {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
	}
	return all
}

// TestPgxHooks checks that dedicated connections are opened like the pool's, with its hooks.
func TestPgxHooks(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "postgres18"))
	var before, after atomic.Int32
	pool := openPgx(t, url, func(config *pgxpool.Config) {
		port := config.ConnConfig.Port
		config.ConnConfig.Port = 1 // no server listens there
		config.BeforeConnect = func(_ context.Context, config *pgx.ConnConfig) error {
			config.Port = port
			before.Add(1)
			return nil
		}
		config.AfterConnect = func(context.Context, *pgx.Conn) error { after.Add(1); return nil }
	})
	d := postgres.NewPool(pool)
	if _, err := d.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, a := before.Load(), after.Load()
	session := openPG(t, d, dialect.SessionOptions{Holder: "hooked"})
	if before.Load() == b || after.Load() == a {
		t.Errorf("BeforeConnect was called %d times, AfterConnect %d times", before.Load()-b, after.Load()-a)
	}
	if !tryPG(t, session, []dialect.ServerLock{{Name: "lock"}})[0] {
		t.Error("the lock was refused")
	}
}

// pgxHarness is a harness on pools of pgxpool.
func pgxHarness(t *testing.T, s *servers.Server, through func(url string) string) dialecttest.Harness {
	t.Helper()
	pools := &pgxPools{s: s, through: through}
	h := harnessThrough(t, s, func(_ *testing.T, url string) string {
		pools.url = url
		return url
	})
	pools.own = pools.open(t, pools.url, 20)
	t.Cleanup(func() { _ = pools.own.Close() })
	h.Pools, h.Dialect = pools, pools.own.Dialect()
	return h
}

// pgxPools opens pools of pgxpool.
type pgxPools struct {
	s       *servers.Server
	url     string
	through func(url string) string // returns the URL to connect to; nil if that is url itself
	own     dialecttest.Pool
}

func (p *pgxPools) Own() dialecttest.Pool                { return p.own }
func (p *pgxPools) Open(t *testing.T) dialecttest.Pool   { return p.open(t, p.url, 20) }
func (p *pgxPools) Narrow(t *testing.T) dialecttest.Pool { return p.open(t, p.url, 1) }
func (p *pgxPools) None() dialect.Dialect                { return postgres.NewPool(nil) }
func (p *pgxPools) Empty(t *testing.T) dialecttest.Pool  { return p.open(t, p.s.Database(t), 20) }

func (p *pgxPools) open(t *testing.T, url string, connections int32) dialecttest.Pool {
	t.Helper()
	if p.through != nil {
		url = p.through(url)
	}
	pool := openPgx(t, url, func(config *pgxpool.Config) { config.MaxConns = connections })
	return &pgxPool{pool, postgres.NewPool(pool), sync.OnceFunc(pool.Close)}
}

// openPgx opens a pgxpool that is closed when the test ends.
func openPgx(t testing.TB, url string, set func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(config)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type pgxPool struct {
	pool  *pgxpool.Pool
	d     dialect.Dialect
	close func()
}

func (p *pgxPool) Dialect() dialect.Dialect { return p.d }
func (p *pgxPool) KeepIdle(int)             {} // pgxpool keeps all of them
func (p *pgxPool) Close() error             { p.close(); return nil }

// pgxLevels maps database/sql's isolation levels to pgx's.
var pgxLevels = map[sql.IsolationLevel]pgx.TxIsoLevel{
	sql.LevelReadUncommitted: pgx.ReadUncommitted, sql.LevelReadCommitted: pgx.ReadCommitted,
	sql.LevelRepeatableRead: pgx.RepeatableRead, sql.LevelSerializable: pgx.Serializable,
}

func (p *pgxPool) Begin(ctx context.Context, level sql.IsolationLevel) (dialecttest.Tx, error) {
	tx, err := p.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgxLevels[level]})
	if err != nil {
		return nil, err
	}
	return pgxTx{postgres.Tx(tx), tx}, nil
}

type pgxTx struct {
	*postgres.PgxTx
	tx pgx.Tx
}

func (t pgxTx) Commit() error   { return t.tx.Commit(context.Background()) }
func (t pgxTx) Rollback() error { return t.tx.Rollback(context.Background()) }
