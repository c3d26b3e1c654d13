package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	driverpgx "github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/integration/servers"
)

// rewriting is a connector that replaces pieces of the statements before it sends them.
type rewriting struct {
	driver.Connector
	pieces []string // pairs of an old piece and its replacement; a statement's white space is normalized first
	seen   func(piece string)
	sent   func(query string) // is called with each statement; may be nil
}

func (r rewriting) text(query string) string {
	query = strings.Join(strings.Fields(query), " ")
	for i := 0; i < len(r.pieces); i += 2 {
		if strings.Contains(query, r.pieces[i]) {
			r.seen(r.pieces[i])
			query = strings.ReplaceAll(query, r.pieces[i], r.pieces[i+1])
		}
	}
	if r.sent != nil {
		r.sent(query)
	}
	return query
}

func (r rewriting) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return rewritingConn{conn.(fullConn), r}, nil
}

// fullConn is what the connections of both drivers can do besides driver.Conn.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.SessionResetter
}

type rewritingConn struct {
	fullConn
	rewriting
}

func (c rewritingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.fullConn.PrepareContext(ctx, c.text(query))
}

func (c rewritingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.fullConn.QueryContext(ctx, c.text(query), args)
}

func (c rewritingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.fullConn.ExecContext(ctx, c.text(query), args)
}

// rewritten returns a dialect of the URL's engine whose statements are rewritten. The test fails if
// one of the old pieces occurs in no statement.
func rewritten(t *testing.T, url string, pieces ...string) dialect.Dialect {
	t.Helper()
	connector, err := mysql.Connector(url)
	if strings.HasPrefix(url, "postgres") {
		var config *driverpgx.ConnConfig
		if config, err = driverpgx.ParseConfig(url); err == nil {
			connector = stdlib.GetConnector(*config)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 10_000)
	db := sql.OpenDB(rewriting{connector, pieces, func(piece string) { found <- piece }, nil})
	t.Cleanup(func() {
		_ = db.Close()
		close(found)
		unused := make(map[string]bool)
		for i := 0; i < len(pieces); i += 2 {
			unused[pieces[i]] = true
		}
		for piece := range found {
			delete(unused, piece)
		}
		for piece := range unused {
			t.Errorf("no statement has %q", piece)
		}
	})
	if strings.HasPrefix(url, "postgres") {
		return postgres.New(db)
	}
	return mysql.New(db)
}

// subqueryTrial is a statement in which a subquery chooses what to try. wrong provokes the
// statement to do what it must not do, and reports whether it did.
type subqueryTrial struct {
	what    string
	broken  []string // pairs that make the subquery choose every row and lock nothing
	without []string // pairs that also remove the condition outside of the subquery
	wrong   func(b *trialBench) bool
}

type trialBench struct {
	*testing.T
	honest, d dialect.Dialect
}

func (b *trialBench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *trialBench) request(name string) dialect.Request {
	b.Helper()
	id := rand.Text()
	b.must(b.honest.CreateLease(b.Context(), dialect.Lease{ID: id, Holder: "test", TTL: time.Minute}))
	return dialect.Request{Key: dialect.Key{Name: name}, LeaseID: id, Owner: rand.Text()}
}

func (b *trialBench) hold(r dialect.Request) dialect.Grant {
	b.Helper()
	grants, err := b.honest.Acquire(b.Context(), []dialect.Request{r})
	b.must(err)
	if !grants[0].Granted {
		b.Fatalf("%q isn't free", r.Name)
	}
	return grants[0]
}

func (b *trialBench) release(r dialect.Request) {
	b.Helper()
	_, err := b.honest.Release(b.Context(), []dialect.Claim{{Key: r.Key, Owner: r.Owner}})
	b.must(err)
}

// lost reports whether the lock is no longer the request's.
func (b *trialBench) lost(r dialect.Request) bool {
	b.Helper()
	rows, err := b.honest.Get(b.Context(), []dialect.Key{r.Key})
	b.must(err)
	return rows[0].Owner != r.Owner
}

// heldAcquired tries to acquire a lock that another holds, alone or together with a free one.
func heldAcquired(batched bool) func(b *trialBench) bool {
	return func(b *trialBench) bool {
		r, free := b.request("held"), b.request("free")
		b.hold(r)
		b.hold(free)
		b.release(free)
		asked := []dialect.Request{b.request("held")}
		if batched {
			asked = append(asked, b.request("free"))
		}
		grants, err := b.d.Acquire(b.Context(), asked)
		b.must(err)
		if batched && !grants[1].Granted {
			b.Error("the lock that was free is not granted")
		}
		return grants[0].Granted || b.lost(r)
	}
}

// barredAcquired tries to acquire a lock that becomes free only later.
func barredAcquired(batched bool) func(b *trialBench) bool {
	return func(b *trialBench) bool {
		r := b.request("barred")
		r.HoldAtLeast = time.Hour
		b.hold(r)
		b.release(r)
		asked := []dialect.Request{b.request("barred")}
		if batched {
			asked = append(asked, b.request("new"))
		}
		grants, err := b.d.Acquire(b.Context(), asked)
		b.must(err)
		return grants[0].Granted
	}
}

func anothersReleased(b *trialBench) bool {
	r, own := b.request("another's"), b.request("own")
	b.hold(r)
	b.hold(own)
	// MySQL may return an error because another transaction has changed its rows.
	_, _ = b.d.Release(b.Context(), []dialect.Claim{{Key: own.Key, Owner: own.Owner}, {Key: r.Key, Owner: own.Owner}})
	if !b.lost(own) {
		b.Error("the client's own lock isn't released")
	}
	return b.lost(r)
}

func freedAs(later bool) func(b *trialBench) bool {
	return func(b *trialBench) bool {
		r := b.request("freed")
		seen := dialect.DeadHolder{Key: r.Key, Fence: b.hold(r).Fence, LeaseID: r.LeaseID}
		if later { // as if the same lease had acquired it again
			seen.Fence--
		} else {
			seen.LeaseID = rand.Text()
		}
		_, err := b.d.Free(b.Context(), []dialect.DeadHolder{seen})
		b.must(err)
		return b.lost(r)
	}
}

func livingExpired(b *trialBench) bool {
	r := b.request("expired")
	_, err := b.d.DeleteExpired(b.Context(), 0, 10)
	b.must(err)
	alive, err := b.honest.RenewLeases(b.Context(), []string{r.LeaseID})
	b.must(err)
	return !alive[0]
}

func rowPurged(used func(b *trialBench, r dialect.Request)) func(b *trialBench) bool {
	return func(b *trialBench) bool {
		r := b.request("purged")
		b.hold(r)
		used(b, r)
		_, err := b.d.Purge(b.Context(), time.Hour, 10)
		b.must(err)
		rows, err := b.honest.Get(b.Context(), []dialect.Key{r.Key})
		b.must(err)
		return rows[0].Fence == 0
	}
}

func outcomePurged(b *trialBench) bool {
	_, err := b.honest.Remember(b.Context(), []dialect.Done{{Name: "kept", Fence: 7, Keep: time.Hour}})
	b.must(err)
	_, err = b.d.PurgeOutcomes(b.Context(), 10)
	b.must(err)
	kept, err := b.honest.Recall(b.Context(), []string{"kept"})
	b.must(err)
	return !kept[0].Kept
}

func waiterPurged(b *trialBench) bool {
	r := b.request("waited for")
	_, err := b.honest.Enqueue(b.Context(), []dialect.Waiter{{Request: r}})
	b.must(err)
	_, err = b.d.PurgeWaiters(b.Context(), 10)
	b.must(err)
	waiting, err := b.honest.Queue(b.Context(), r.Key, 10)
	b.must(err)
	return len(waiting) == 0
}

func stillHeld(*trialBench, dialect.Request)         {}
func sinceReleased(b *trialBench, r dialect.Request) { b.release(r) }

// The conditions as they are written in MySQL's and MariaDB's statements.
const (
	free    = "lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)"
	lFree   = "l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)"
	lckFree = "lck.lease_id IS NULL AND lck.free_at <= UTC_TIMESTAMP(6)"

	mysqlPurge = "AND GREATEST(free_at, acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND " +
		"AND (slot >= 0 OR free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR) " +
		"AND fence < TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6))"
)

var (
	mysqlAcquire = []string{
		"((" + free + ") OR owner = ?) LIMIT 1 FOR UPDATE SKIP LOCKED", "(TRUE OR owner = ?) LIMIT 1",
	}
	mysqlMany = []string{
		"WHERE (" + lckFree + ") OR lck.owner = asked.owner LIMIT 1000 FOR UPDATE SKIP LOCKED", "LIMIT 1000",
	}
	mysqlRelease = []string{
		"WHERE lck.owner = asked.owner LIMIT 1000 FOR UPDATE SKIP LOCKED", "LIMIT 1000",
		"IFNULL(l.owner = asked.owner, FALSE) AS mine", "TRUE AS mine",
	}
	mysqlFree = []string{
		"AND fence = ? AND lease_id = ? LIMIT 1 FOR UPDATE SKIP LOCKED",
		"AND (TRUE OR fence = ? OR lease_id = ?) LIMIT 1",
	}
	mysqlIdle = []string{
		"SELECT name, slot FROM sqllock_locks WHERE lease_id IS NULL " + mysqlPurge + " LIMIT ?",
		"SELECT name, slot FROM sqllock_locks WHERE ? >= 0 LIMIT ?",
		"AND lease_id IS NULL " + mysqlPurge + " LIMIT 1 FOR UPDATE SKIP LOCKED", "AND ? >= 0 LIMIT 1",
	}
	mariaMany = []string{"WHERE (" + lFree + ") OR l.owner = asked.owner FOR UPDATE SKIP LOCKED", ""}
)

var subqueryTrials = map[string][]subqueryTrial{
	"mysql": {
		{"acquire, held", mysqlAcquire, []string{"WHERE (l.lease_id IS NULL AND", "WHERE ("}, heldAcquired(false)},
		{"acquire, barred", mysqlAcquire, []string{
			"AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = ?", ") OR l.owner = ?",
		}, barredAcquired(false)},
		{"acquire many, held", mysqlMany, []string{
			"(" + lFree + ") OR l.owner = free.owner", "TRUE",
		}, heldAcquired(true)},
		{"acquire many, barred", mysqlMany, []string{
			"AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = free.owner", ") OR l.owner = free.owner",
		}, barredAcquired(true)},
		{"release many", mysqlRelease, []string{"WHERE l.owner = mine.owner", ""}, anothersReleased},
		{"free, another fence", mysqlFree, []string{
			"WHERE l.fence = ? AND", "WHERE (TRUE OR l.fence = ?) AND",
		}, freedAs(true)},
		{"free, another lease", mysqlFree, []string{
			"AND l.lease_id = ?", "AND (TRUE OR l.lease_id = ?)",
		}, freedAs(false)},
		{"delete expired", []string{
			"WHERE expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND LIMIT ?", "WHERE ? >= 0 LIMIT ?",
			"AND expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND LIMIT 1 FOR UPDATE SKIP LOCKED",
			"AND ? >= 0 LIMIT 1",
		}, []string{"WHERE l.expires_at <= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND", "WHERE ? >= 0"}, livingExpired},
		{"purge, held", mysqlIdle, []string{
			"WHERE l.lease_id IS NULL " +
				"AND GREATEST(l.free_at, l.acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND",
			"WHERE ? >= 0",
			"(l.slot >= 0 OR l.free_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR) AND", "",
		}, rowPurged(stillHeld)},
		{"purge, released", mysqlIdle, []string{
			"AND GREATEST(l.free_at, l.acquired_at) < UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND", "AND ? >= 0",
		}, rowPurged(sinceReleased)},
		{"purge outcomes", []string{
			"WHERE keep_until <= UTC_TIMESTAMP(6) LIMIT ?", "LIMIT ?",
			"AND keep_until <= UTC_TIMESTAMP(6) LIMIT 1 FOR UPDATE SKIP LOCKED", "LIMIT 1",
		}, []string{"WHERE o.keep_until <= UTC_TIMESTAMP(6)", ""}, outcomePurged},
	},
	"mariadb": {
		{"acquire many, held", mariaMany, []string{"sqllock_locks.lease_id IS NULL AND", ""}, heldAcquired(true)},
		{"acquire many, barred", mariaMany, []string{
			"AND sqllock_locks.free_at <= UTC_TIMESTAMP(6)", "",
		}, barredAcquired(true)},
		{"release many", []string{
			"WHERE l.owner = asked.owner FOR UPDATE SKIP LOCKED", "",
		}, []string{"IF(sqllock_locks.owner = VALUES(owner)", "IF(TRUE"}, anothersReleased},
	},
	"postgres15": {
		{"purge, held", pgIdle, []string{
			"FROM idle) AND lease_id IS NULL " + pgOld, "FROM idle)",
		}, rowPurged(stillHeld)},
		{"purge, released", pgIdle, []string{
			"AND lease_id IS NULL " + pgOld, "AND lease_id IS NULL",
		}, rowPurged(sinceReleased)},
		{"purge waiters", []string{
			"WHERE NOT EXISTS (SELECT 1 FROM sqllock_leases " +
				"WHERE id = w.lease_id AND expires_at > clock_timestamp()) LIMIT",
			"LIMIT",
		}, []string{
			"AND NOT EXISTS (SELECT 1 FROM sqllock_leases " +
				"WHERE id = waiter.lease_id AND expires_at > clock_timestamp() OFFSET 0)",
			"",
		}, waiterPurged},
		{"purge outcomes", []string{
			"WHERE keep_until <= clock_timestamp() LIMIT", "LIMIT",
		}, []string{"AND keep_until <= clock_timestamp()", ""}, outcomePurged},
		{"delete expired", []string{
			"WHERE expires_at <= clock_timestamp() - $1::bigint * interval '1 microsecond' LIMIT", "LIMIT",
		}, []string{
			"AND expires_at <= clock_timestamp() - $1::bigint * interval '1 microsecond'", "AND $1::bigint >= 0",
		}, livingExpired},
		{"free, another fence", pgFree, []string{
			") AND fence = $3::bigint AND lease_id = $4::text", ") AND lease_id = $4::text",
		}, freedAs(true)},
		{"free, another lease", pgFree, []string{
			") AND fence = $3::bigint AND lease_id = $4::text", ") AND fence = $3::bigint",
		}, freedAs(false)},
	},
}

// pgOld is PostgreSQL's condition that a row has been free and unused for the given time.
const pgOld = "AND greatest(free_at, acquired_at) < clock_timestamp() - $1::bigint * interval '1 microsecond'"

var (
	pgIdle = []string{
		"WHERE lease_id IS NULL " + pgOld + " " +
			"AND fence < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint LIMIT",
		"WHERE $1::bigint >= 0 LIMIT",
	}
	pgFree = []string{
		"AND fence = $3::bigint AND lease_id = $4::text FOR NO KEY UPDATE SKIP LOCKED",
		"AND $3::bigint >= 0 AND $4::text <> ''",
	}
)

// TestSubqueriesDecideNothing checks that a subquery only chooses what to try, since a server may
// evaluate it on an older snapshot, or accept SKIP LOCKED and lock nothing. If the subquery chooses
// every row, nothing wrong happens. If the condition outside of it is missing too, something does.
func TestSubqueriesDecideNothing(t *testing.T) {
	t.Parallel()
	for engine, of := range subqueryTrials {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Start(t, engine)
			for _, c := range of {
				t.Run(c.what, func(t *testing.T) {
					url := database(t, server)
					honest := connect(t, url).Dialect
					if c.wrong(&trialBench{t, honest, rewritten(t, url, c.broken...)}) {
						t.Error("the subquery decides, and not the condition outside of it")
					}
					url = database(t, server)
					honest = connect(t, url).Dialect
					without := rewritten(t, url, slices.Concat(c.broken, c.without)...)
					if !c.wrong(&trialBench{t, honest, without}) {
						t.Errorf("nothing wrong happens without the condition %q: this test can't fail", c.without[0])
					}
				})
			}
		})
	}
}

// TestProbeLetsSessionsCompete checks that Probe finds out whether two sessions exclude each other.
// A server may accept all the statements and still not do that.
func TestProbeLetsSessionsCompete(t *testing.T) {
	t.Parallel()
	both := "two sessions were both given one lock"
	guarded := "a transaction guards it"
	for engine, of := range map[string][]struct {
		what   string
		pieces []string
		text   string // part of the error's text; empty if Probe returns none
	}{
		"mysql": {
			{"SKIP LOCKED locks nothing", mysqlAcquire, ""}, // as in TiDB
			{"and the subquery decides", slices.Concat(mysqlAcquire, []string{
				"WHERE (l.lease_id IS NULL AND l.free_at <= UTC_TIMESTAMP(6)) OR l.owner = ?",
				"WHERE TRUE OR l.owner = ?",
			}), both},
			{"LOCK IN SHARE MODE locks nothing", []string{"owner = ? LOCK IN SHARE MODE", "owner = ?"}, guarded},
		},
		"mariadb": {
			{"a second session gets the lock", []string{
				"slot = ? AND ((lease_id IS NULL AND free_at <= UTC_TIMESTAMP(6)) OR owner = ?)",
				"slot = ? AND (TRUE OR owner = ?)",
			}, both},
			{"LOCK IN SHARE MODE locks nothing", []string{"owner = ? LOCK IN SHARE MODE", "owner = ?"}, guarded},
		},
		"postgres15": {
			{"a second session gets the lock", []string{
				"AND ((lease_id IS NULL AND free_at <= clock_timestamp()) OR owner = $3::text) RETURNING", "RETURNING",
			}, both},
			{"FOR SHARE locks nothing", []string{"AND owner = $3::text FOR SHARE", "AND owner = $3::text"}, guarded},
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Start(t, engine)
			for _, c := range of {
				t.Run(c.what, func(t *testing.T) {
					d := rewritten(t, database(t, server), c.pieces...)
					_, err := d.Probe(t.Context())
					if c.text == "" && err != nil {
						t.Error(err)
					}
					if c.text != "" &&
						(!errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), c.text)) {
						t.Errorf("%v; want ErrUnsupported with the text %q", err, c.text)
					}
				})
			}
		})
	}
}

// TestProbeBesidePurge lets a reaper remove the row of the probe's lock, which is free for a
// moment. Probe must not report then that the server can't lock.
func TestProbeBesidePurge(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		d, reaper := connect(t, url).Dialect, connect(t, url).Dialect
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			for ctx.Err() == nil {
				_, _ = reaper.Purge(ctx, 0, 10) // an error is a conflict with the probe
			}
		})
		for range 20 {
			if _, err := d.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		}
		stop()
		group.Wait()
	})
}
