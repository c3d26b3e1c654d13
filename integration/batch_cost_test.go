package integration

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
)

// batchRows is how many locks the table has. A batch names a few of them.
const batchRows = 100_000

// A batch finds its rows by their key, whatever size the server's statistics give the table: the
// real one, or the one from before it grew. A plan that reads all rows, and perhaps locks them,
// shows in the server's counters.
func TestBatchesReadTheirOwnRows(t *testing.T) {
	t.Parallel()
	for _, name := range servers.OneOfEachKind(t, serverEngines...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBatches(t, servers.Start(t, name).Database(t))
			b.execute("analyze") // one row
			b.execute("keep")    // the server must not analyze on its own
			b.fill()
			b.check("analyzed while it had one row")
			b.execute("analyze")
			b.check("freshly analyzed")
		})
	}
}

// batches runs statements for many locks on one connection, so that the counters are the session's
// own.
type batches struct {
	*testing.T
	engine  string
	db      *sql.DB
	dialect dialect.Dialect
	lease   string
}

func newBatches(t *testing.T, url string) *batches {
	prepare(t, url)
	target := connect(t, url)
	target.DB.SetMaxOpenConns(1)
	b := &batches{t, target.Migrations.Name, target.DB, target.Dialect, "batches"}
	b.must(b.dialect.CreateLease(t.Context(), dialect.Lease{ID: b.lease, TTL: time.Hour}))
	b.cycle(b.requests("", 1))
	return b
}

func (b *batches) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// engineSQL has the statements that differ between the two engines.
var engineSQL = map[string]map[string]string{
	"postgres": {
		"analyze": "ANALYZE sqllock_locks",
		"keep":    "ALTER TABLE sqllock_locks SET (autovacuum_enabled = off)",
		"read": "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables " +
			"WHERE relname = 'sqllock_locks' UNION ALL " +
			"SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'sqllock_locks'",
	},
	"mysql": {
		"analyze": "ANALYZE TABLE sqllock_locks",
		"keep":    "ALTER TABLE sqllock_locks STATS_AUTO_RECALC = 0",
		"read":    "SHOW SESSION STATUS LIKE 'Handler_read%'",
	},
}

func (b *batches) execute(what string) {
	b.Helper()
	rows, err := b.db.QueryContext(b.Context(), engineSQL[b.engine][what])
	b.must(err)
	defer rows.Close()
	for rows.Next() { // ANALYZE TABLE returns rows, and is done after the last one
	}
	b.must(rows.Err())
}

// fill multiplies the rows tenfold until there are batchRows of them.
func (b *batches) fill() {
	b.Helper()
	columns := "slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay"
	digits := strings.Repeat("UNION ALL SELECT 1 ", 8)
	for n, round := 1, 0; n < batchRows; n, round = 10*n, round+1 {
		_, err := b.db.ExecContext(b.Context(), fmt.Sprintf("INSERT INTO sqllock_locks (name, %s) "+
			"SELECT concat(name, '/%d', d), %s FROM sqllock_locks, "+
			"(SELECT row_number() OVER () AS d FROM (SELECT 1 AS one %s) AS o) AS digits",
			columns, round, columns, digits))
		b.must(err)
	}
}

func (b *batches) requests(suffix string, n int) []dialect.Request {
	all := make([]dialect.Request, n)
	for i := range all {
		name := "lock" + suffix
		if i > 0 {
			name = fmt.Sprintf("lock%s/new%d", suffix, i)
		}
		all[i] = dialect.Request{Key: dialect.Key{Name: name}, LeaseID: b.lease, Owner: fmt.Sprint("owner", i)}
	}
	return all
}

// cycle acquires and releases the requested locks, one batch each.
func (b *batches) cycle(requests []dialect.Request) {
	b.Helper()
	claims := make([]dialect.Claim, len(requests))
	grants, err := b.dialect.Acquire(b.Context(), requests)
	b.must(err)
	for i, r := range requests {
		claims[i] = dialect.Claim{Key: r.Key, Owner: r.Owner}
		if !grants[i].Granted {
			b.Fatalf("the request for %q was not granted", r.Name)
		}
	}
	ours, err := b.dialect.Release(b.Context(), claims)
	b.must(err)
	for i, ours := range ours {
		if !ours {
			b.Fatalf("Release of %q found another owner", claims[i].Name)
		}
	}
}

// check counts the rows that batches read. A few for each lock are right; they include the rows of
// the statement's own list.
func (b *batches) check(what string) {
	b.Helper()
	const size, times = 50, 8 // more times than PostgreSQL makes a custom plan for a prepared statement
	requests := b.requests("", size)
	b.cycle(requests)
	before := b.read()
	for range times {
		b.cycle(requests)
	}
	read := b.read() - before
	b.Logf("%s: %.1f rows read for each lock", what, float64(read)/(size*times))
	if read == 0 || read > 40*size*times {
		b.Errorf("%s: %d batches of %d locks read %d rows", what, times, size, read)
	}
}

// read returns how many rows the session has read.
func (b *batches) read() (sum int) {
	b.Helper()
	if b.engine == "postgres" {
		// PostgreSQL publishes the counters once a second.
		_, err := b.db.ExecContext(b.Context(), "SELECT pg_sleep(1.1)")
		b.must(err)
	}
	rows, err := b.db.QueryContext(b.Context(), engineSQL[b.engine]["read"])
	b.must(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		if b.engine == "postgres" {
			err = rows.Scan(&n)
		} else {
			err = rows.Scan(&name, &n)
		}
		b.must(err)
		sum += n
	}
	b.must(rows.Err())
	return sum
}
