package integration

import (
	"database/sql"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/dialecttest"
	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// tidbPowers is what the dialect supports beyond leases with the statements for TiDB.
var tidbPowers = dialecttest.Powers{Tx: true, Check: true}

// withoutSessions hides the dialect's session locks, which are refused on TiDB.
type withoutSessions struct {
	dialect.Dialect
	dialect.TxLocker
	dialect.Checker
	dialect.Locator
	dialect.SQLPool
}

func sessionless(d *mysql.Dialect) withoutSessions { return withoutSessions{d, d, d, d, d} }

func asTiDB(db *sql.DB) withoutSessions { return sessionless(mysql.New(db, mysql.WithTiDB())) }

// notOnTiDB is what TiDB lacks, or accepts and ignores, and its servers' own clocks. Only the time
// of a transaction may come from there, as its clock does on a server that isn't TiDB.
var notOnTiDB = regexp.MustCompile(`SKIP LOCKED|JSON_TABLE|_LOCK\(|SHARE MODE|FOR SHARE|SET STATEMENT|` +
	`INTO sqllock.*UTC_TIMESTAMP|UPDATE sqllock.*UTC_TIMESTAMP|FROM sqllock.*UTC_TIMESTAMP`)

// openRecorded opens a pool that fails the test if TiDB couldn't carry out what is sent.
func openRecorded(t *testing.T, url string) *sql.DB {
	t.Helper()
	connector, err := mysql.Connector(url)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(rewriting{Connector: connector, sent: func(query string) {
		if found := notOnTiDB.FindString(query); found != "" {
			t.Errorf("%q was sent, in: %s", found, query)
		}
	}})
	t.Cleanup(func() { db.Close() })
	return db
}

// TestTiDBConformance runs the whole suite with the statements for TiDB, on MySQL. All that isn't
// shown by this is TiDB's clock, and that TiDB carries out these statements as MySQL does.
func TestTiDBConformance(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, "mysql")
	dialecttest.Run(t, func(t *testing.T) dialecttest.Harness {
		var reached string
		h := harnessThrough(t, s, func(_ *testing.T, url string) string { reached = url; return url })
		h.DB = openRecorded(t, reached)
		h.DB.SetMaxIdleConns(20)
		h.Dialect = asTiDB(h.DB)
		h.New = func(db *sql.DB) dialect.Dialect { return asTiDB(db) }
		h.Open = func(t *testing.T) *sql.DB { return openRecorded(t, reached) }
		h.ExclusiveGuards = true
		h.Powers = tidbPowers
		return h
	})
}

// Session locks are refused, since TiDB's GET_LOCK isn't MySQL's.
func TestTiDBRefusesSessions(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "mysql"))
	connector, err := mysql.Connector(url)
	if err != nil {
		t.Fatal(err)
	}
	d := mysql.New(openRecorded(t, url), mysql.WithTiDB(), mysql.WithConnector(connector))
	_, err = d.OpenSession(t.Context(), dialect.SessionOptions{Holder: "refused"})
	if !errors.Is(err, dialect.ErrUnsupported) {
		t.Errorf("OpenSession: %v, want ErrUnsupported", err)
	}
}

// The round trips that docs/clusters.md names.
func TestTiDBRoundTrips(t *testing.T) {
	t.Parallel()
	my := newMyBench(t, "mysql", database(t, servers.Start(t, "mysql")))
	my.url += "?interpolateParams=true"
	db, writes := my.counted()
	d, r := mysql.New(db, mysql.WithTiDB()), my.request("hot")
	my.acquire(d, r) // inserts the row
	for _, c := range []struct {
		what string
		want int64
		call func() error
	}{
		{"release", 4, func() error { _, err := d.Release(t.Context(), []dialect.Claim{myClaim(r)}); return err }},
		{"acquire", 6, func() error { _, err := d.Acquire(t.Context(), []dialect.Request{r}); return err }},
		{"renew", 4, func() error { _, err := d.RenewLeases(t.Context(), []string{r.LeaseID}); return err }},
	} {
		before := writes.Load()
		my.must(c.call())
		if n := writes.Load() - before; n != c.want {
			t.Errorf("%s: %d round trips, want %d", c.what, n, c.want)
		}
	}
}

// Processes compete with the statements for TiDB. One of them is killed, and another is frozen past
// its TTL. The ledger proves that no two jobs overlapped.
func TestTiDBContention(t *testing.T) {
	t.Parallel()
	url := database(t, servers.Start(t, "mysql"))
	target := connect(t, url)
	target.Dialect = asTiDB(target.DB)
	worker := setup{URL: url, TTL: loadTTL, ReapEvery: time.Second, PurgeAfter: time.Millisecond, TiDB: true}
	c := startLoad(t, 3, worker, loadRoutines, loadAccounts)
	for range long.Or(1, 10) {
		c.check.awaitEach(t, 3, c.alive()...)
		victim := c.alive()[0]
		c.check.kill(c.workers[victim-1], victim)
		c.add(t, worker, loadRoutines, loadAccounts)
		c.check.awaitEach(t, 3, c.alive()...)
		frozen := c.alive()[0]
		c.workers[frozen-1].stop()
		outlive(t, target, frozen, loadTTL)
		c.workers[frozen-1].cont()
	}
	c.check.awaitEach(t, 3, c.alive()...)
	c.finish(t)
	c.check.prove(t, target.DB)
	c.check.report(t, failed)
	wantNoLocks(t, client(t, target, sqllock.Options{}), 2*loadTTL)
}
