package integration

import (
	"context"
	"database/sql"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// failover is a cluster under load: workers in several processes wait for locks, and write a
// guarded ledger.
type failover struct {
	*ledgerWorkers
	url string
}

// startFailover starts the load. The database has to survive the loss of any one server with all
// that it has acknowledged.
func startFailover(t *testing.T, url string) *failover {
	t.Helper()
	prepare(t, url)
	c := &failover{&ledgerWorkers{check: newLedgerCheck(), cluster: true}, url}
	for range 2 {
		c.add(t, setup{URL: url, TTL: loadTTL, ReapEvery: time.Second}, loadRoutines, loadAccounts)
	}
	c.check.awaitEach(t, 3, c.alive()...)
	return c
}

// survives does what ends the primary, and waits until every worker is at work again.
func (c *failover) survives(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	c.check.awaitEach(t, 3, c.alive()...)
	t.Logf("%s: three more jobs of each worker after %s", what, time.Since(began).Round(time.Millisecond))
}

// end compares the ledger with what the workers say. No wait for a lock may have failed.
func (c *failover) end(t *testing.T) {
	t.Helper()
	c.finish(t)
	target := connect(t, c.url)
	c.check.prove(t, target.DB)
	c.check.mu.Lock()
	defer c.check.mu.Unlock()
	if n := c.check.counts[unheld]; n > 0 {
		t.Errorf("%d waits for a lock failed; failures: %v", n, c.check.details)
	}
	t.Logf("jobs by outcome: %v", c.check.counts)
	wantNoLocks(t, client(t, target, sqllock.Options{}), 2*loadTTL)
}

// TestPostgresFailover kills a primary, and promotes its synchronous standby after a while. The
// processes know both by their URL, or a proxy sends them to the standby as soon as the primary is
// gone.
func TestPostgresFailover(t *testing.T) {
	t.Parallel()
	for _, proxied := range []bool{false, true} {
		t.Run(map[bool]string{false: "two hosts", true: "a proxy"}[proxied], func(t *testing.T) {
			t.Parallel()
			primary := servers.Private(t, "postgres15", servers.Durable()) // the one that comes with pg_basebackup
			standby := primary.Standby(t)
			primary.Synchronous(t)
			u, err := url.Parse(primary.URL)
			if err != nil {
				t.Fatal(err)
			}
			u.Host += "," + standby.Addr()
			through := u.String()
			var killed atomic.Bool
			if proxied {
				_, through = newRouter(t, primary.URL, func() string {
					if killed.Load() {
						return standby.Addr()
					}
					return primary.Addr()
				})
			}
			c := startFailover(t, through)
			c.survives(t, "the primary killed, its standby promoted 7s later", func() {
				primary.Kill()
				killed.Store(true)
				time.Sleep(7 * time.Second) // longer than any call is retried that doesn't wait
				standby.Promote(t)
			})
			c.end(t)
		})
	}
}

// TestGroupReplication runs the failovers of a MySQL group with a single primary. Forming one takes
// so long that they share it.
func TestGroupReplication(t *testing.T) {
	t.Parallel()
	members := servers.Group(t, false)
	t.Run("conformance", func(t *testing.T) { groupConformance(t, members[0]) })
	_, through := newRouter(t, members[0].URL, func() string {
		primary, err := servers.Primary(context.Background(), members)
		if err != nil {
			return ""
		}
		return primary.Addr()
	})
	c := startFailover(t, through+"?readTimeout=20s") // a Commit sent to a frozen primary ends by that alone
	// The old primary stays up, read-only, with all its connections.
	c.survives(t, "a planned switchover", func() { members[1].SwitchPrimary(t) })
	// A frozen primary is expelled. When it continues, it still has its connections, and
	// transactions of its own that the group has never seen.
	c.survives(t, "the primary frozen", members[1].Stop)
	c.survives(t, "it continues", members[1].Cont)
	// For a moment it takes itself for the primary still, so ask the others.
	primary, err := servers.Primary(t.Context(), []*servers.Instance{members[0], members[2]})
	if err != nil {
		t.Fatal(err)
	}
	primary.AwaitGroup(t, len(members))
	c.survives(t, "the primary killed", primary.Kill)
	c.end(t)
}

// TestGroupWithSeveralPrimaries migrates through one member of a group in which each member takes
// writes, and again through another. Then a holder of each member competes for a lock.
func TestGroupWithSeveralPrimaries(t *testing.T) {
	t.Parallel()
	members := servers.Group(t, true)
	prepare(t, members[1].URL)
	for _, m := range members {
		m.CatchUpGroup(t, members[1])
	}
	target := connect(t, members[2].URL)
	if err := migrations.Up(t.Context(), target.DB, target.Migrations); err != nil {
		t.Fatal(err)
	}
	all := make([]*open.Database, len(members))
	for i, m := range members {
		all[i] = connect(t, m.URL+"?group_replication_consistency=%27BEFORE%27")
	}
	wantClocksCompared(t, all)
	c := &ledgerWorkers{check: newLedgerCheck(), cluster: true}
	for _, m := range members {
		c.add(t, setup{URL: m.URL + "?group_replication_consistency=%27BEFORE%27", TTL: loadTTL}, 2, loadAccounts)
	}
	c.check.awaitEach(t, 3, c.alive()...)
	c.finish(t)
	c.check.prove(t, target.DB)
	if n := c.check.counts[unheld]; n > 0 {
		t.Errorf("%d waits for a lock failed; failures: %v", n, c.check.details)
	}
}

// groupConformance runs the conformance suite on the primary.
func groupConformance(t *testing.T, primary *servers.Instance) {
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		url := primary.Databases(t)[0]
		prepare(t, url)
		target := connect(t, url)
		return dialecttest.Harness{
			Dialect: target.Dialect,
			DB:      target.DB,
			New:     func(db *sql.DB) dialect.Dialect { return mysql.New(db) },
			Open:    func(t *testing.T) *sql.DB { return connect(t, url).DB },
			Empty:   func(t *testing.T) *sql.DB { return connect(t, primary.Databases(t)[0]).DB },
			Isolation: []sql.IsolationLevel{
				sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable,
			},
			Powers:      powers["mysql"],
			EndSessions: func(t *testing.T) { endSessions(t, target) },
		}
	})
}

// TestReconnect leaves every pooled connection on a server that takes no writes, as a switchover
// leaves those to the old primary. New connections reach one that takes writes.
func TestReconnect(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "postgres15")
	prepare(t, server.URL)
	var promoted atomic.Bool
	connected := func(ctx context.Context, conn *pgx.Conn) (err error) {
		if promoted.Load() {
			_, err = conn.Exec(ctx, "SET default_transaction_read_only = off")
		}
		return err
	}
	pool := func() *pgxpool.Pool {
		return openPgx(t, server.URL, func(config *pgxpool.Config) {
			config.AfterConnect, config.MinConns, config.MaxConns = connected, 3, 6
		})
	}
	config, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	dialects := map[string]dialect.Dialect{"pgxpool": postgres.NewPool(pool())}
	for name, db := range map[string]*sql.DB{
		"database/sql":              stdlib.OpenDB(*config, stdlib.OptionAfterConnect(connected)),
		"database/sql over pgxpool": stdlib.OpenDBFromPool(pool()),
	} {
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxIdleConns(3)
		dialects[name] = postgres.New(db)
	}
	clients := make(map[string]*sqllock.Client)
	for name, d := range dialects {
		c, err := sqllock.New(t.Context(), d, &sqllock.Options{PollOnly: true, ReapEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		mustRelease(t, mustTry(t, c, name))
		clients[name] = c
	}
	promoted.Store(true)
	server.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	for name, c := range clients {
		lock, err := c.Acquire(ctx, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mustRelease(t, lock)
	}
}
