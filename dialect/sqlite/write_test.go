package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// TestWritersQueue checks that a writer that has waited in vain for its turn has sent nothing to
// the database, and that a heartbeat doesn't wait.
func TestWritersQueue(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "locks.db"))
	migrate(t, db)
	d := New(db)
	lease := dialect.Lease{ID: "lease", Holder: "test", TTL: time.Hour}
	if err := d.CreateLease(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	request := []dialect.Request{{Key: dialect.Key{Name: "job"}, LeaseID: lease.ID, Owner: "me"}}

	d.writers.queue <- struct{}{} // another writer
	if alive, err := d.RenewLeases(t.Context(), []string{lease.ID}); err != nil || !alive[0] {
		t.Errorf("heartbeat: %v, %v; want true", alive, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Acquire(ctx, request); err == nil || d.Classify(err) != dialect.ClassTransient {
		t.Errorf("out of turn: %v (class %s); want a transient error", err, d.Classify(err))
	}
	<-d.writers.queue
	if grants, err := d.Acquire(t.Context(), request); err != nil || !grants[0].Granted {
		t.Errorf("in turn: %v, %v; want it granted", grants, err)
	}
}

// calls are all calls of a Dialect to its database that may meet other writers.
func calls(d *Dialect) map[string]func(ctx context.Context) error {
	key := dialect.Key{Name: "job"}
	request := dialect.Request{Key: key, LeaseID: "lease", Owner: "me"}
	next := dialect.Request{Key: key, LeaseID: "lease", Owner: "next"}
	claim := dialect.Claim{Key: key, Owner: "me"}
	second := func(_ any, err error) error { return err }
	return map[string]func(ctx context.Context) error{
		"Probe": func(ctx context.Context) error { return second(d.Probe(ctx)) },
		"Check": func(ctx context.Context) error { return second(d.Check(ctx)) },
		"CreateLease": func(ctx context.Context) error {
			return d.CreateLease(ctx, dialect.Lease{ID: "new", TTL: time.Hour})
		},
		"RenewLeases":   func(ctx context.Context) error { return second(d.RenewLeases(ctx, []string{"lease"})) },
		"ExpireLeases":  func(ctx context.Context) error { return second(d.ExpireLeases(ctx, []string{"lease"})) },
		"DeleteExpired": func(ctx context.Context) error { return second(d.DeleteExpired(ctx, 0, 1)) },
		"ExpireUnrenewed": func(ctx context.Context) error {
			return second(d.ExpireUnrenewed(ctx, []dialect.Renewal{{LeaseID: "lease"}}))
		},
		"OverlongLeases": func(ctx context.Context) error { return second(d.OverlongLeases(ctx, 1)) },
		"EndBars": func(ctx context.Context) error {
			return second(d.EndBars(ctx, []dialect.Bar{{Key: key, Fence: 1}}))
		},
		"DeleteLeases": func(ctx context.Context) error {
			return d.DeleteLeases(ctx, []string{"other"})
		},
		"Acquire": func(ctx context.Context) error { return second(d.Acquire(ctx, []dialect.Request{request})) },
		"Acquire several": func(ctx context.Context) error {
			other := dialect.Request{Key: dialect.Key{Name: "b"}, LeaseID: "lease", Owner: "me"}
			return second(d.Acquire(ctx, []dialect.Request{request, other}))
		},
		"Release": func(ctx context.Context) error { return second(d.Release(ctx, []dialect.Claim{claim})) },
		"AdvanceFence": func(ctx context.Context) error {
			return second(d.AdvanceFence(ctx, []dialect.FenceAdvance{{Claim: claim, Fence: 1}}))
		},
		"Free": func(ctx context.Context) error {
			return second(d.Free(ctx, []dialect.DeadHolder{{Key: key, Fence: 1, LeaseID: "lease"}}))
		},
		"Purge": func(ctx context.Context) error { return second(d.Purge(ctx, time.Hour, 1)) },
		"Get":   func(ctx context.Context) error { return second(d.Get(ctx, []dialect.Key{key})) },
		"List":  func(ctx context.Context) error { return second(d.List(ctx, dialect.Key{}, true, 1)) },
		"Enqueue": func(ctx context.Context) error {
			return second(d.Enqueue(ctx, []dialect.Waiter{{Request: next}}))
		},
		"Dequeue":        func(ctx context.Context) error { return second(d.Dequeue(ctx, []dialect.Claim{claim})) },
		"Queue":          func(ctx context.Context) error { return second(d.Queue(ctx, key, 1)) },
		"ListWaiters":    func(ctx context.Context) error { return second(d.ListWaiters(ctx, 0, 1)) },
		"WaitingHolders": func(ctx context.Context) error { return second(d.WaitingHolders(ctx, 0, 1)) },
		"Transfer": func(ctx context.Context) error {
			return second(d.Transfer(ctx, []dialect.Transfer{{Claim: claim, Next: next}}))
		},
		"PurgeWaiters": func(ctx context.Context) error { return second(d.PurgeWaiters(ctx, 1)) },
		"Recall":       func(ctx context.Context) error { return second(d.Recall(ctx, []string{"key"})) },
		"Remember": func(ctx context.Context) error {
			return second(d.Remember(ctx, []dialect.Done{{Name: "key", Fence: 1, Keep: time.Hour}}))
		},
		"PurgeOutcomes": func(ctx context.Context) error { return second(d.PurgeOutcomes(ctx, 1)) },
		"Break": func(ctx context.Context) error {
			return second(d.Break(ctx, []dialect.Break{{Claim: claim, ID: "break"}}))
		},
		"ListBreaks":  func(ctx context.Context) error { return second(d.ListBreaks(ctx, "a", 1)) },
		"PurgeBreaks": func(ctx context.Context) error { return second(d.PurgeBreaks(ctx, time.Hour, 1)) },
		"LockTx": func(ctx context.Context) error {
			return inTx(ctx, d.db, func(tx *sql.Tx) error {
				return second(d.LockTx(ctx, dialect.SQL(tx), dialect.ServerLock{Name: "n"}, true))
			})
		},
		"Guard": func(ctx context.Context) error {
			return inTx(ctx, d.db, func(tx *sql.Tx) error {
				return second(d.Guard(ctx, dialect.SQL(tx), []dialect.Claim{claim}))
			})
		},
		"ClaimTx": func(ctx context.Context) error {
			return inTx(ctx, d.db, func(tx *sql.Tx) error {
				return second(d.ClaimTx(ctx, dialect.SQL(tx), []string{"key 2"}))
			})
		},
	}
}

func inTx(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(tx)
}

// pools are those on which SQLite itself gives up after a moment, and at once, with each kind of
// journal. The transactions of the application begin without a lock.
func pools(path string) map[string]string {
	all := map[string]string{}
	for _, journal := range []string{"WAL", "DELETE"} {
		for _, timeout := range []int{0, 20} {
			all[fmt.Sprintf("%s, busy_timeout %d", journal, timeout)] = fmt.Sprintf(
				"file:%s.%s%d?_pragma=busy_timeout(%d)&_pragma=synchronous(OFF)&_pragma=journal_mode(%s)",
				path, journal, timeout, timeout, journal)
		}
	}
	return all
}

// busyFor is how long others keep the database locked: much longer than SQLite waits.
const busyFor = 60 * time.Millisecond

// exclude locks all others out, including readers if the journal is a rollback journal.
func exclude(t *testing.T, dsn string) (release func()) {
	t.Helper()
	conn, err := raw(t, dsn).Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 10000")
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	must(t, err)
	return func() {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		if err != nil {
			t.Error(err)
		}
		conn.Close()
	}
}

// TestBusyIsWaitedFor checks that every call waits while another connection has the database
// locked, and then does what it should. A call to a database that stays locked ends with ctx.
func TestBusyIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, dsn := range pools(filepath.Join(t.TempDir(), "locks.db")) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := raw(t, dsn)
			migrate(t, db)
			d := New(db)
			must(t, d.CreateLease(t.Context(), dialect.Lease{ID: "lease", TTL: time.Hour}))
			for what, call := range calls(d) {
				release := exclude(t, dsn)
				ctx, cancel := context.WithTimeout(t.Context(), busyFor/3)
				err := call(ctx)
				cancel()
				class := d.Classify(err)
				if err != nil && (!errors.Is(err, context.DeadlineExceeded) || class != dialect.ClassTransient &&
					class != dialect.ClassUnknown) {
					// no error: it reads beside a write-ahead log
					t.Errorf("%s, given up: %v (class %s)", what, err, class)
				}
				released := make(chan struct{})
				time.AfterFunc(busyFor, func() { release(); close(released) })
				ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
				if err := call(ctx); err != nil {
					t.Errorf("%s: %v (class %s)", what, err, d.Classify(err))
				}
				cancel()
				<-released
			}
		})
	}
}

// TestGivenUpLeavesNothing checks that a call that ctx has ended during its wait has no effect
// later, and that a connection that has competed returns with the busy_timeout that it had.
func TestGivenUpLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "locks.db")
	db := open(t, path)
	migrate(t, db)
	d := New(db)
	release := exclude(t, "file:"+path)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := compete(ctx, d, startWait(path), func(s engine.Session) (any, error) {
		return nil, d.createLease(ctx, s, dialect.Lease{ID: "lease", TTL: time.Hour})
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("beside another writer: %v", err)
	}
	release()
	if remaining := leases(t, db); remaining != 0 {
		t.Errorf("%d leases, want none", remaining)
	}
	if ms := busyTimeout(t, db); ms != 5000 {
		t.Errorf("busy_timeout is %d", ms)
	}

	// In a rollback journal the statement may have run when ctx ends before the commit: it is
	// undone.
	dsn := "file:" + filepath.Join(t.TempDir(),
		"rollback.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(DELETE)"
	db = raw(t, dsn)
	migrate(t, db)
	d = New(db)
	ctx, cancel = context.WithCancel(t.Context())
	_, err = compete(ctx, d, startWait(path), func(s engine.Session) (any, error) {
		if err := d.createLease(ctx, s, dialect.Lease{ID: "lease", TTL: time.Hour}); err != nil {
			return nil, err
		}
		cancel()
		return nil, d.createLease(ctx, s, dialect.Lease{ID: "second", TTL: time.Hour})
	})
	if !errors.Is(err, context.Canceled) || d.Classify(err) != dialect.ClassTransient {
		t.Errorf("cancelled half-way: %v (class %s)", err, d.Classify(err))
	}
	if remaining := leases(t, db); remaining != 0 {
		t.Errorf("%d leases, want none", remaining)
	}
	must(t, d.CreateLease(t.Context(), dialect.Lease{ID: "lease", TTL: time.Hour}))
}

func leases(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqllock_leases").Scan(&n))
	return n
}

// TestReaderBesideCommit checks that in a rollback journal a commit waits for a reader.
func TestReaderBesideCommit(t *testing.T) {
	t.Parallel()
	dsn := pools(filepath.Join(t.TempDir(), "locks.db"))["DELETE, busy_timeout 0"]
	db := raw(t, dsn)
	migrate(t, db)
	d := New(db)
	for _, create := range []func(context.Context) error{
		func(ctx context.Context) error { return d.CreateLease(ctx, dialect.Lease{ID: "a", TTL: time.Hour}) },
		func(ctx context.Context) error {
			_, err := compete(ctx, d, startWait(""), func(s engine.Session) (any, error) {
				return nil, d.createLease(ctx, s, dialect.Lease{ID: "b", TTL: time.Hour})
			})
			return err
		},
	} {
		reader := raw(t, dsn)
		rows, err := reader.QueryContext(t.Context(), "SELECT 1 FROM sqlite_master") //nolint:rowserrcheck // one row
		must(t, err)
		if !rows.Next() {
			t.Fatal("there are no tables")
		}
		time.AfterFunc(busyFor, func() { rows.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := create(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	if n := leases(t, db); n != 2 {
		t.Errorf("%d leases, want 2", n)
	}
}
