package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
	"github.com/sqllock/sqllock/dialect/internal/enginetest"
)

func raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestProbeLetsConnectionsCompete checks that a database whose connections don't exclude each other
// is refused.
func TestProbeLetsConnectionsCompete(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	migrate(t, raw(t, path))
	for _, parameter := range []string{"nolock=1", "vfs=unix-none"} {
		_, err := New(raw(t, "file:"+path+"?"+parameter)).Probe(t.Context())
		if !errors.Is(err, dialect.ErrUnsupported) || !strings.Contains(err.Error(), "two connections") {
			t.Errorf("%s: %v", parameter, err)
		}
	}
	if _, err := New(raw(t, "file:"+path)).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestProbeRefuses checks that Probe refuses a database that can't serve locks, with advice.
func TestProbeRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "locks.db")
	migrate(t, open(t, path))
	notADB := filepath.Join(dir, "text")
	if err := os.WriteFile(notADB, []byte(strings.Repeat("this is not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dsn, says string
		want      dialect.Class
	}{
		{":memory:", "in memory", dialect.ClassPermanent},
		{"file::memory:?cache=shared", "in memory", dialect.ClassPermanent},
		{"file:/x?vfs=memdb", "in memory", dialect.ClassPermanent},
		{"", "in memory or temporary", dialect.ClassPermanent},
		{"file:" + path + "?mode=ro", "read-only", dialect.ClassReadOnly},
		{"file:" + path + "?_pragma=query_only(1)", "read-only", dialect.ClassReadOnly},
		{"file:" + filepath.Join(dir, "none", "x.db"), "directory", dialect.ClassPermanent},
		{"file:" + dir, "can't be opened", dialect.ClassPermanent},
		{"file:" + notADB, "not a database", dialect.ClassPermanent},
		{"file:" + filepath.Join(dir, "new.db"), "sqllock-migrate own up", dialect.ClassNoSchema},
	} {
		d := New(raw(t, c.dsn))
		_, err := d.Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.says) || d.Classify(err) != c.want {
			t.Errorf("%q: %v (class %s), want %q (class %s)", c.dsn, err, d.Classify(err), c.says, c.want)
		}
	}
}

// TestNilDB checks that every call without a database returns an error, and none panics.
func TestNilDB(t *testing.T) {
	enginetest.NilDB(t, New(nil))
}

// TestTriggerIsFound checks tables that look right and don't do what they should.
func TestTriggerIsFound(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "locks.db"))
	migrate(t, db)
	_, err := db.Exec(`CREATE TRIGGER keep BEFORE DELETE ON sqllock_leases BEGIN SELECT raise(IGNORE); END`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(db).Probe(t.Context()); !errors.Is(err, dialect.ErrUnsupported) {
		t.Errorf("Probe: %v", err)
	}
}

// TestClockAfterWaiting checks that the clock is read after the write lock was taken, not when it
// was requested.
func TestClockAfterWaiting(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "locks.db"))
	migrate(t, db)
	d := New(db)
	tx, err := db.Begin() // immediate: the write lock
	if err != nil {
		t.Fatal(err)
	}
	var committed time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(300 * time.Millisecond)
		committed = time.Now()
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}()
	key := dialect.Key{Name: "n"}
	grants, err := d.Acquire(t.Context(), []dialect.Request{{
		Key: key, LeaseID: "l", Owner: "o",
		HoldAtLeast: time.Minute,
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	rows, err := d.Get(t.Context(), []dialect.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	least := committed.Add(-2 * time.Millisecond)
	if at := time.UnixMicro(grants[0].Fence); at.Before(least) || rows[0].AcquiredAt.Before(least) {
		t.Errorf("fence %s, acquired %s, the lock was to be had from %s on", at, rows[0].AcquiredAt, committed)
	}
	if passed := time.Since(committed); rows[0].FreeIn < time.Minute-passed-2*time.Millisecond {
		t.Errorf("free in %s, %s after it could be had", rows[0].FreeIn, passed)
	}
}

// TestClockIsExact checks for many moments that the floating-point number of seconds is converted
// to whole milliseconds.
func TestClockIsExact(t *testing.T) {
	t.Parallel()
	db := raw(t, ":memory:")
	expr := strings.ReplaceAll(clock, "'subsec'", "?1, 'subsec'")
	stmt, err := db.Prepare("SELECT " + expr)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	const step = 97*time.Hour + 1237*time.Millisecond
	for at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); at.Year() < 2100; at = at.Add(step) {
		var got int64
		if err := stmt.QueryRow(at.Format("2006-01-02 15:04:05.000")).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != at.UnixMicro() {
			t.Fatalf("%s is %d, want %d", at, got, at.UnixMicro())
		}
	}
}

// TestPlans checks that every statement finds its rows by the key, even if the table was analyzed
// when it had one row.
func TestPlans(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	db := open(t, path)
	migrate(t, db)
	checkPlans(t, db)
	for _, statement := range []string{
		"INSERT INTO sqllock_locks VALUES ('a', 0, 1, NULL, NULL, '', 0, 0, 0)", "ANALYZE",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	checkPlans(t, open(t, path)) // it has read the statistics
}

func checkPlans(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, text := range []string{
		queries.renewLease, queries.expireLease, queries.seeLease, queries.deleteLease,
		queries.release, queries.guard, queries.free, queries.get, queries.list,
		queries.acquireMany, queries.releaseMany,
	} {
		for _, detail := range plan(t, db, text) {
			list := strings.Contains(detail, "VIRTUAL TABLE") // the list of requests
			if strings.HasPrefix(detail, "SCAN") && !list || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s\nplan: %s", text, detail)
			}
		}
	}
}

func plan(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	// numbers for parameters
	rows, err := db.Query("EXPLAIN QUERY PLAN " + strings.ReplaceAll(text, "?", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var details []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		details = append(details, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return details
}

// TestOneCommit checks that an uncontended acquire and a release are one statement and one commit
// each, and that a refusal writes nothing.
func TestOneCommit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	migrate(t, open(t, path))
	db := open(t, path)
	db.SetMaxOpenConns(1) // the one that is counted
	commits, asked := countCommits(t, db), &counted{Session: dialect.SQL(db)}
	d := New(db)
	d.pool = asked
	r := dialect.Request{Key: dialect.Key{Name: "n"}, LeaseID: "l", Owner: "o"}
	other := dialect.Request{Key: r.Key, LeaseID: "l", Owner: "p"}
	claims := []dialect.Claim{{Key: r.Key, Owner: r.Owner}}
	several := []dialect.Request{r, {Key: dialect.Key{Name: "a"}, LeaseID: "l", Owner: "o"}}
	both := []dialect.Claim{claims[0], {Key: several[1].Key, Owner: "o"}}
	for _, step := range []struct {
		what    string
		do      func() error
		commits int
	}{
		{"acquire a new lock", func() error { _, err := d.Acquire(t.Context(), []dialect.Request{r}); return err }, 1},
		{"be refused", func() error { _, err := d.Acquire(t.Context(), []dialect.Request{other}); return err }, 0},
		{"release", func() error { _, err := d.Release(t.Context(), claims); return err }, 1},
		{"acquire", func() error { _, err := d.Acquire(t.Context(), []dialect.Request{r}); return err }, 1},
		{"acquire several", func() error { _, err := d.Acquire(t.Context(), several); return err }, 1},
		{"release several", func() error { _, err := d.Release(t.Context(), both); return err }, 1},
	} {
		*commits, asked.n = 0, 0
		d.writers.contested.Store(0) // as on a machine that doesn't stand still
		if err := step.do(); err != nil || *commits > 1 || *commits < step.commits || asked.n != 1 {
			t.Errorf("%s: %d commits, %d statements, error %v", step.what, *commits, asked.n, err)
		}
	}
}

type counted struct {
	engine.Session
	n int
}

func (c *counted) Query(ctx context.Context, query string, args ...any) (dialect.Rows, error) {
	c.n++
	return c.Session.Query(ctx, query, args...)
}

func (c *counted) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	c.n++
	return c.Session.Exec(ctx, query, args...)
}

// countCommits counts the commits of the connection that db has now.
func countCommits(t *testing.T, db *sql.DB) *int {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	commits := new(int)
	err = conn.Raw(func(driverConn any) error {
		driverConn.(driver.HookRegisterer).RegisterCommitHook(func() int32 { *commits++; return 0 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return commits
}

// TestDeferredTransactions checks that on a pool that was opened differently, where a guard may
// come too late for the transaction's snapshot, nothing is worse than Transient.
func TestDeferredTransactions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	migrate(t, open(t, path))
	db := raw(t, "file:"+path) // no busy_timeout, deferred transactions
	d := New(db)
	if _, err := d.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := dialect.Request{Key: dialect.Key{Name: "n"}, LeaseID: "l", Owner: "o"}
	claims := []dialect.Claim{{Key: r.Key, Owner: r.Owner}}
	if _, err := d.Acquire(t.Context(), []dialect.Request{r}); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRow("SELECT COUNT(*) FROM sqllock_leases").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateLease(t.Context(), dialect.Lease{ID: "x", Holder: "h", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Guard(t.Context(), dialect.SQL(tx), claims); d.Classify(err) != dialect.ClassTransient {
		t.Errorf("a guard after the snapshot: %v (class %s)", err, d.Classify(err))
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	tx, err = db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if ok, err := d.Guard(t.Context(), dialect.SQL(tx), claims); err != nil || !ok[0] {
		t.Fatalf("Guard: %t, %v", ok, err)
	}
	brief, cancel := context.WithTimeout(t.Context(), busyFor)
	defer cancel()
	if _, err := d.Release(brief, claims); d.Classify(err) != dialect.ClassTransient {
		t.Errorf("a release behind a guard: %v (class %s)", err, d.Classify(err))
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.Release(t.Context(), claims); err != nil || !ok[0] {
		t.Errorf("Release: %t, %v", ok, err)
	}
}
