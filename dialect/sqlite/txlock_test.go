package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// deferred is a pool whose transactions begin as SQLite's do by default: without a lock.
func deferred(t *testing.T) (*Dialect, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "locks.db")
	migrate(t, open(t, path))
	db := raw(t, "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)")
	return New(db), db
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	return tx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lockTx(t *testing.T, d *Dialect, tx *sql.Tx, want bool) {
	t.Helper()
	started := time.Now()
	got, err := d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: "n"}, false)
	must(t, err)
	if took := time.Since(started); got != want || took > time.Second {
		t.Fatalf("returned %t after %s, want %t at once", got, took, want)
	}
}

func busyTimeout(t *testing.T, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (ms int) {
	t.Helper()
	must(t, q.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&ms))
	return ms
}

// TestLockTxDeferred checks that the write lock is really taken, that a refusal doesn't wait, and
// that neither changes busy_timeout.
func TestLockTxDeferred(t *testing.T) {
	t.Parallel()
	d, db := deferred(t)
	const insert = "INSERT INTO sqllock_leases (id, holder, ttl, created_at, renewed_at, expires_at) " +
		"VALUES (?, '', 1, 1, 1, 1)"
	a, b := begin(t, db), begin(t, db)
	lockTx(t, d, a, true)
	lockTx(t, d, b, false)
	lockTx(t, d, b, false)
	for what, tx := range map[string]*sql.Tx{"granted": a, "refused": b} {
		if ms := busyTimeout(t, tx); ms != 5000 {
			t.Errorf("busy_timeout is %d when %s", ms, what)
		}
	}
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(brief, insert, "beside"); err == nil {
		t.Error("another has written beside the lock")
	}
	must(t, a.Commit())
	lockTx(t, d, b, true)
	_, err := b.ExecContext(t.Context(), insert, "own")
	must(t, err)
	must(t, b.Commit())
}

func TestLockTxWaits(t *testing.T) {
	t.Parallel()
	d, db := deferred(t)
	a, b := begin(t, db), begin(t, db)
	lockTx(t, d, a, true)
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := d.LockTx(brief, dialect.SQL(b), dialect.ServerLock{Name: "n"}, true); got ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%t, %v; want the ctx's error", got, err)
	}
	result := make(chan error, 1)
	go func() {
		got, err := d.LockTx(t.Context(), dialect.SQL(b), dialect.ServerLock{Name: "n"}, true)
		if err == nil && !got {
			err = errors.New("not granted")
		}
		result <- err
	}()
	select {
	case err := <-result:
		t.Fatalf("result beside another's lock: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	must(t, a.Commit())
	must(t, <-result)
	lockTx(t, d, begin(t, db), false)
}

// TestLockTxStale checks that a transaction whose snapshot is outdated fails at once.
func TestLockTxStale(t *testing.T) {
	t.Parallel()
	d, db := deferred(t)
	tx := begin(t, db)
	var n int
	must(t, tx.QueryRowContext(t.Context(), "SELECT count(*) FROM sqllock_leases").Scan(&n))
	must(t, d.CreateLease(t.Context(), dialect.Lease{ID: "l", TTL: time.Minute}))
	for _, wait := range []bool{false, true} {
		got, err := d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: "n"}, wait)
		if got || err == nil || !strings.Contains(err.Error(), "_txlock=immediate") ||
			d.Classify(err) != dialect.ClassTransient {
			t.Errorf("%t, %v (class %s)", got, err, d.Classify(err))
		}
	}
	if ms := busyTimeout(t, tx); ms != 5000 {
		t.Errorf("busy_timeout is %d", ms)
	}
}

// TestLockTxEndsMeanwhile checks that a transaction that its own ctx ends, at any moment, returns
// its connection unchanged.
func TestLockTxEndsMeanwhile(t *testing.T) {
	t.Parallel()
	d, db := deferred(t)
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	lockTx(t, d, begin(t, db), true)
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := db.BeginTx(ctx, nil)
		must(t, err)
		go func() {
			time.Sleep(time.Duration(i%30) * 5 * time.Microsecond)
			cancel()
		}()
		if got, _ := d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: "n"}, false); got {
			t.Fatal("granted beside another's lock")
		}
		cancel()
		tx.Rollback()
		if ms := busyTimeout(t, db); ms != 5000 {
			t.Fatalf("busy_timeout is %d in round %d", ms, i)
		}
	}
}

func TestMend(t *testing.T) {
	t.Parallel()
	d, db := deferred(t)
	db.SetMaxIdleConns(3)
	var conns [3]*sql.Conn
	for i := range conns {
		conn, err := db.Conn(t.Context())
		must(t, err)
		conns[i] = conn
	}
	_, err := conns[1].ExecContext(t.Context(), "PRAGMA busy_timeout = 0")
	must(t, err)
	for _, conn := range conns {
		must(t, conn.Close())
	}
	d.repair(t.Context(), 5000)
	for range conns {
		conn, err := db.Conn(t.Context())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		if ms := busyTimeout(t, conn); ms != 5000 {
			t.Errorf("busy_timeout is %d", ms)
		}
	}
}

// TestCheckFinds checks that Check reports settings that differ from Open's.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dsn, what string
		want      dialect.Verdict
	}{
		{"file:%?_pragma=busy_timeout(0)", "busy_timeout", dialect.VerdictNotice},
		{"file:%?_pragma=journal_mode(DELETE)", "journal mode", dialect.VerdictNotice},
		{"file:%?mode=ro", "takes writes", dialect.VerdictBad},
		{"file:%?_pragma=query_only(1)", "takes writes", dialect.VerdictBad},
		{"file:%.new", "takes writes", dialect.VerdictBad},
		{"file::memory:?cache=shared", "database", dialect.VerdictBad},
	} {
		path := filepath.Join(t.TempDir(), "locks.db")
		db := open(t, path)
		migrate(t, db)
		must(t, db.Close())
		findings, err := New(raw(t, strings.Replace(c.dsn, "%", path, 1))).Check(t.Context())
		must(t, err)
		found := false
		for _, f := range findings {
			found = found || f.What == c.what && f.Verdict == c.want && f.Advice != ""
		}
		if !found {
			t.Errorf("%s: %+v, want that %q is %s", c.dsn, findings, c.what, c.want)
		}
	}
	if networkDisk(t.TempDir()+"/x") != "" {
		t.Error("the tests' own directory is on a network")
	}
}
