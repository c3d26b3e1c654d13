package integration

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/integration/servers"
)

// lockTx tries the lock in tx, without waiting, and checks the result.
func (my *myBench) lockTx(tx *sql.Tx, lock dialect.ServerLock, want bool) {
	my.Helper()
	started := time.Now()
	got, err := my.d.LockTx(my.Context(), dialect.SQL(tx), lock, false)
	my.must(err)
	if took := time.Since(started); got != want || took > 5*time.Second {
		my.Fatalf("LockTx returned %t after %s, want %t at once", got, took, want)
	}
}

// A transaction lock is one statement if its row is known. It does not fix the transaction's
// snapshot; the first read after it does.
func TestMySQLTxLockIsOneStatement(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		pool, pooled := my.counted()
		d := mysql.New(pool)
		my.url += "?interpolateParams=true"
		db, writes := my.counted()
		lock := dialect.ServerLock{Name: "n"}
		for round, want := range []struct{ own, pool int64 }{{1, -1}, {1, 0}, {1, 0}} {
			tx, err := db.BeginTx(t.Context(), nil)
			my.must(err)
			before, beforePool := writes.Load(), pooled.Load()
			got, err := d.LockTx(t.Context(), dialect.SQL(tx), lock, false)
			my.must(err)
			own, others := writes.Load()-before, pooled.Load()-beforePool
			if !got || own != want.own || want.pool >= 0 && others != want.pool {
				t.Errorf("round %d: granted %t, %d round trips in the transaction, %d on the pool; want %d and %d",
					round, got, own, others, want.own, want.pool)
			}
			t.Logf("round %d: %d round trips in the transaction, %d on the pool", round, own, others)
			my.exec(my.db, "INSERT INTO sqllock_leases "+
				"VALUES (?, 'h', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))", rand.Text())
			var n int
			my.must(tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqllock_leases").Scan(&n))
			if n != round+1 {
				t.Errorf("the transaction sees %d rows of %d: its snapshot is older than its first read", n, round+1)
			}
			my.must(tx.Rollback())
		}
	})
}

// A refused transaction lock blocks no other caller: it leaves no gap locked into which others
// insert rows.
func TestMySQLTxLockRefusedLocksNoGap(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for name, level := range myLevels {
			for _, shared := range []bool{false, true} {
				// Each round has its own name: a waiter that has given up may still get the lock
				// for a moment when a's transaction ends.
				lock := dialect.ServerLock{Name: fmt.Sprint("m", name, shared)}
				a, b := my.begin(0), my.begin(level)
				my.lockTx(a, lock, true)
				refused := lock
				refused.Shared = shared
				my.lockTx(b, refused, false)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				got, err := my.d.LockTx(ctx, dialect.SQL(b), refused, true)
				if got || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("LockTx of a held lock returned %t, %v; want DeadlineExceeded", got, err)
				}
				cancel()
				started := time.Now()
				for _, other := range []string{lock.Name + "0", lock.Name + "z", "a", "z"} {
					r := my.request(other + rand.Text())
					if !my.acquire(my.d, r).Granted {
						t.Errorf("%s was not granted", r.Name)
					}
				}
				if took := time.Since(started); took > 3*time.Second {
					t.Errorf("%s, shared %t: new rows beside a refused lock took %s", name, shared, took)
				}
				my.must(a.Commit())
				b.Rollback() // fails if the end of ctx has closed the connection
			}
		}
	})
}

// On a server on which a lock timeout rolls back the whole transaction, neither a refusal nor a
// long wait causes such a timeout.
func TestMySQLTxLockWhereTimeoutsRollBack(t *testing.T) {
	t.Parallel()
	for _, engine := range servers.OneOfEachKind(t, "mysql", "mariadb") {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine,
				servers.Args("--innodb-rollback-on-timeout=ON", "--innodb-lock-wait-timeout=1"))
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			lock := dialect.ServerLock{Name: "n"}
			a, b := my.begin(0), my.begin(0)
			my.lockTx(a, lock, true)
			my.exec(b, "INSERT INTO sqllock_leases "+
				"VALUES ('own', 'h', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))")
			my.lockTx(b, lock, false)
			result := make(chan error, 1)
			go func() {
				got, err := my.d.LockTx(t.Context(), dialect.SQL(b), lock, true)
				if err == nil && !got {
					err = errors.New("not granted")
				}
				result <- err
			}()
			select {
			case err := <-result:
				t.Errorf("LockTx returned while the lock was held: %v", err)
			case <-time.After(2500 * time.Millisecond): // longer than innodb_lock_wait_timeout
				my.must(a.Commit())
				my.must(<-result)
			}
			my.must(b.Commit())
			var n int
			row := my.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqllock_leases WHERE id = 'own'")
			my.must(row.Scan(&n))
			if n != 1 {
				t.Error("a refusal, or a wait, has rolled the transaction back")
			}
			findings, err := my.d.Check(t.Context())
			my.must(err)
			if text := fmt.Sprint(findings); !strings.Contains(text, "innodb_rollback_on_timeout") {
				t.Errorf("Check does not report innodb_rollback_on_timeout: %s", text)
			}
		})
	}
}

// A caller that gives up does not keep waiting in the server, and the locks of its transaction are
// free soon.
func TestMySQLTxLockGivenUp(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		lock, own := dialect.ServerLock{Name: "n"}, dialect.ServerLock{Name: "own"}
		a, b := my.begin(0), my.begin(0)
		my.lockTx(a, lock, true)
		my.lockTx(b, own, true)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { _, err := my.d.LockTx(ctx, dialect.SQL(b), lock, true); result <- err }()
		time.Sleep(200 * time.Millisecond) // so that it waits by now; the test holds even if it doesn't
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("LockTx, canceled while it waited: %v", err)
		}
		b.Rollback()
		took := await(t, "the other lock to be free", stepTimeout, func() bool {
			tx := my.begin(0)
			defer tx.Rollback()
			got, err := my.d.LockTx(t.Context(), dialect.SQL(tx), own, false)
			return err == nil && got
		})
		if took > 3*time.Second {
			t.Errorf("a transaction that gave up kept its locks for %s", took)
		}
	})
}

// The rows of transaction locks are not listed as locks. They are purged when they are old, but
// never while the lock is held.
func TestMySQLTxLockRows(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		lock := dialect.ServerLock{Name: "n"}
		purged := func(want int) {
			t.Helper()
			if n, err := my.d.Purge(t.Context(), 0, 100); err != nil || n != want {
				t.Errorf("Purge returned %d, %v; want %d", n, err, want)
			}
		}
		tx := my.begin(0)
		my.lockTx(tx, lock, true)
		rows, err := my.d.List(t.Context(), dialect.Key{}, false, 10)
		my.must(err)
		if len(rows) != 0 {
			t.Errorf("List returned the row of a transaction lock: %+v", rows)
		}
		purged(0)
		my.must(tx.Commit())
		purged(0) // the row is too new: others rely on it
		my.exec(my.db, "UPDATE sqllock_locks SET free_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY WHERE slot = -1")
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		purged(0) // the lock is held
		my.must(tx.Commit())
		purged(1)

		// This dialect still expects the row. It fails once with a transient error, and inserts the
		// row the next time.
		tx = my.begin(0)
		got, err := my.d.LockTx(t.Context(), dialect.SQL(tx), lock, false)
		if got || err == nil || my.d.Classify(err) != dialect.ClassTransient {
			t.Errorf("LockTx of a purged row returned %t, %v; want a transient error", got, err)
		}
		my.must(tx.Rollback())
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		my.lockTx(my.begin(0), lock, false)
		my.must(tx.Commit())

		// A new dialect finds an old row, and keeps it from being purged.
		my.exec(my.db, "UPDATE sqllock_locks SET free_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY WHERE slot = -1")
		my.d = mysql.New(my.db)
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		my.must(tx.Commit())
		purged(0)
	})
}

// A caller that holds the pool's last connection does not wait for another one forever.
func TestMySQLTxLockOnAnExhaustedPool(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		my.db.SetMaxOpenConns(2)
		a, b := my.begin(0), my.begin(0)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		for _, tx := range []*sql.Tx{a, b} {
			got, err := my.d.LockTx(ctx, dialect.SQL(tx), dialect.ServerLock{Name: "n"}, true)
			if got || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("LockTx on an exhausted pool returned %t, %v; want DeadlineExceeded", got, err)
			}
		}
		started := time.Now()
		got, err := my.d.LockTx(t.Context(), dialect.SQL(a), dialect.ServerLock{Name: "n"}, false)
		if got || err == nil || !strings.Contains(err.Error(), "SetMaxOpenConns") ||
			my.d.Classify(err) != dialect.ClassTransient {
			t.Errorf("LockTx returned %t, %v after %s; want a transient error about SetMaxOpenConns",
				got, err, time.Since(started))
		}
		my.must(b.Rollback())
		my.lockTx(a, dialect.ServerLock{Name: "n"}, true)
	})
}

// Of several transactions that try the same new lock at the same time, exactly one gets it.
func TestMySQLTxLockNewAtOnce(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for range 20 {
			lock, start := dialect.ServerLock{Name: rand.Text()}, make(chan struct{})
			results := make(chan bool, 4)
			for range cap(results) {
				d, tx := mysql.New(my.db), my.begin(0)
				warm := dialect.ServerLock{Name: "warm" + rand.Text()}
				_, err := d.LockTx(t.Context(), dialect.SQL(tx), warm, false)
				my.must(err)
				go func() {
					<-start
					got, err := d.LockTx(t.Context(), dialect.SQL(tx), lock, false)
					if err != nil {
						t.Error(err)
					}
					results <- got
				}()
			}
			started := time.Now()
			close(start)
			granted := 0
			for range cap(results) {
				if <-results {
					granted++
				}
			}
			if granted != 1 || time.Since(started) > 3*time.Second {
				t.Errorf("the lock was granted to %d transactions after %s, want 1 at once",
					granted, time.Since(started))
			}
		}
	})
}

func TestMySQLTxLockReadOnlyTransaction(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		tx, err := my.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		my.must(err)
		defer tx.Rollback()
		got, err := my.d.LockTx(t.Context(), dialect.SQL(tx), dialect.ServerLock{Name: "n"}, false)
		if got || err == nil || !strings.Contains(err.Error(), "READ ONLY") {
			t.Errorf("LockTx in a READ ONLY transaction returned %t, %v; want an error that says so", got, err)
		}
	})
}
