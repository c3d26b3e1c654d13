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

func (my *myBench) lockTx(tx *sql.Tx, lock dialect.ServerLock, want bool) {
	my.Helper()
	started := time.Now()
	got, err := my.d.LockTx(my.Context(), tx, lock, false)
	my.must(err)
	if took := time.Since(started); got != want || took > 5*time.Second {
		my.Fatalf("answered %t after %s, want %t at once", got, took, want)
	}
}

// A transaction lock is one statement when its row is known, and leaves the transaction's snapshot to what is read
// later.
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
			got, err := d.LockTx(t.Context(), tx, lock, false)
			my.must(err)
			own, others := writes.Load()-before, pooled.Load()-beforePool
			if !got || own != want.own || want.pool >= 0 && others != want.pool {
				t.Errorf("round %d: granted %t, %d round trips in the transaction, %d on the pool", round, got, own, others)
			}
			t.Logf("round %d: %d round trips in the transaction, %d on the pool", round, own, others)
			my.exec(my.db, "INSERT INTO sqllock_leases VALUES (?, 'h', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))", rand.Text())
			var n int
			my.must(tx.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqllock_leases").Scan(&n))
			if n != round+1 {
				t.Errorf("the transaction sees %d rows of %d: its snapshot is older than what it read first", n, round+1)
			}
			my.must(tx.Rollback())
		}
	})
}

// To be refused keeps nobody else waiting: no gap stays locked in which others make rows.
func TestMySQLTxLockRefusedLocksNoGap(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for name, level := range myLevels {
			for _, shared := range []bool{false, true} {
				// A name each time: for a moment, who gave up waiting may get the lock when a's transaction ends.
				lock := dialect.ServerLock{Name: fmt.Sprint("m", name, shared)}
				a, b := my.begin(0), my.begin(level)
				my.lockTx(a, lock, true)
				refused := lock
				refused.Shared = shared
				my.lockTx(b, refused, false)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if got, err := my.d.LockTx(ctx, b, refused, true); got || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%t, %v", got, err)
				}
				cancel()
				started := time.Now()
				for _, other := range []string{lock.Name + "0", lock.Name + "z", "a", "z"} {
					r := my.request(other + rand.Text())
					if !my.acquire(my.d, r).Granted {
						t.Errorf("%s was refused", r.Name)
					}
				}
				if took := time.Since(started); took > 3*time.Second {
					t.Errorf("%s, shared %t: rows beside a refused lock took %s", name, shared, took)
				}
				my.must(a.Commit())
				b.Rollback() // fails where the connection went with the ctx
			}
		}
	})
}

// Where a time-out rolls back the whole transaction, a refusal is none, and a wait is none either.
func TestMySQLTxLockWhereTimeoutsRollBack(t *testing.T) {
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine, servers.Args("--innodb-rollback-on-timeout=ON", "--innodb-lock-wait-timeout=1"))
			prepare(t, server.URL)
			my := newMyBench(t, engine, server.URL)
			lock := dialect.ServerLock{Name: "n"}
			a, b := my.begin(0), my.begin(0)
			my.lockTx(a, lock, true)
			my.exec(b, "INSERT INTO sqllock_leases VALUES ('own', 'h', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))")
			my.lockTx(b, lock, false)
			answer := make(chan error, 1)
			go func() {
				got, err := my.d.LockTx(t.Context(), b, lock, true)
				if err == nil && !got {
					err = errors.New("not granted")
				}
				answer <- err
			}()
			select {
			case err := <-answer:
				t.Errorf("it waited for less than innodb_lock_wait_timeout: %v", err)
			case <-time.After(2500 * time.Millisecond): // longer than that
				my.must(a.Commit())
				my.must(<-answer)
			}
			my.must(b.Commit())
			var n int
			my.must(my.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqllock_leases WHERE id = 'own'").Scan(&n))
			if n != 1 {
				t.Error("a refusal, or a wait, has rolled the transaction back")
			}
			findings, err := my.d.Check(t.Context())
			my.must(err)
			if text := fmt.Sprint(findings); !strings.Contains(text, "innodb_rollback_on_timeout") {
				t.Errorf("the check doesn't tell: %s", text)
			}
		})
	}
}

// Who gives up doesn't stay in the server's line, and what his transaction had locked is free soon.
func TestMySQLTxLockGivenUp(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		lock, own := dialect.ServerLock{Name: "n"}, dialect.ServerLock{Name: "own"}
		a, b := my.begin(0), my.begin(0)
		my.lockTx(a, lock, true)
		my.lockTx(b, own, true)
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { _, err := my.d.LockTx(ctx, b, lock, true); answer <- err }()
		time.Sleep(200 * time.Millisecond) // until it waits; earlier will do as well
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b.Rollback()
		took := await(t, "the other lock is free", patience, func() bool {
			tx := my.begin(0)
			defer tx.Rollback()
			got, err := my.d.LockTx(t.Context(), tx, own, false)
			return err == nil && got
		})
		if took > 3*time.Second {
			t.Errorf("a transaction that gave up kept its locks for %s", took)
		}
	})
}

// The rows of transaction locks are not locks to anybody, and purged when they are old: never under their holder.
func TestMySQLTxLockRows(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		lock := dialect.ServerLock{Name: "n"}
		purged := func(want int) {
			t.Helper()
			if n, err := my.d.Purge(t.Context(), 0, 100); err != nil || n != want {
				t.Errorf("purged %d, %v; want %d", n, err, want)
			}
		}
		tx := my.begin(0)
		my.lockTx(tx, lock, true)
		rows, err := my.d.List(t.Context(), dialect.Key{}, false, 10)
		my.must(err)
		if len(rows) != 0 {
			t.Errorf("listed: %+v", rows)
		}
		purged(0)
		my.must(tx.Commit())
		purged(0) // too new: others know that it is there
		my.exec(my.db, "UPDATE sqllock_locks SET free_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY WHERE slot = -1")
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		purged(0) // it is held
		my.must(tx.Commit())
		purged(1)

		// This dialect believes that it is there. It is told once, and not left to believe.
		tx = my.begin(0)
		if got, err := my.d.LockTx(t.Context(), tx, lock, false); got || err == nil || my.d.Classify(err) != dialect.Transient {
			t.Errorf("%t, %v", got, err)
		}
		my.must(tx.Rollback())
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		my.lockTx(my.begin(0), lock, false)
		my.must(tx.Commit())

		// One that knows nothing finds an old row, and keeps it.
		my.exec(my.db, "UPDATE sqllock_locks SET free_at = UTC_TIMESTAMP(6) - INTERVAL 2 DAY WHERE slot = -1")
		my.d = mysql.New(my.db)
		tx = my.begin(0)
		my.lockTx(tx, lock, true)
		my.must(tx.Commit())
		purged(0)
	})
}

// A caller who holds the pool's last connection isn't left waiting for another for ever.
func TestMySQLTxLockOnAnExhaustedPool(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		my.db.SetMaxOpenConns(2)
		a, b := my.begin(0), my.begin(0)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		for _, tx := range []*sql.Tx{a, b} {
			if got, err := my.d.LockTx(ctx, tx, dialect.ServerLock{Name: "n"}, true); got || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%t, %v", got, err)
			}
		}
		must := time.Now()
		got, err := my.d.LockTx(t.Context(), a, dialect.ServerLock{Name: "n"}, false)
		if got || err == nil || !strings.Contains(err.Error(), "SetMaxOpenConns") || my.d.Classify(err) != dialect.Transient {
			t.Errorf("%t, %v after %s", got, err, time.Since(must))
		}
		my.must(b.Rollback())
		my.lockTx(a, dialect.ServerLock{Name: "n"}, true)
	})
}

// Two who want the same new lock at the same time: one has it, and the other is told so.
func TestMySQLTxLockNewAtOnce(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		for range 20 {
			lock, start := dialect.ServerLock{Name: rand.Text()}, make(chan struct{})
			answers := make(chan bool, 4)
			for range cap(answers) {
				d, tx := mysql.New(my.db), my.begin(0)
				if _, err := d.LockTx(t.Context(), tx, dialect.ServerLock{Name: "warm" + rand.Text()}, false); err != nil {
					t.Fatal(err)
				}
				go func() {
					<-start
					got, err := d.LockTx(t.Context(), tx, lock, false)
					if err != nil {
						t.Error(err)
					}
					answers <- got
				}()
			}
			started := time.Now()
			close(start)
			granted := 0
			for range cap(answers) {
				if <-answers {
					granted++
				}
			}
			if granted != 1 || time.Since(started) > 3*time.Second {
				t.Errorf("granted to %d, after %s", granted, time.Since(started))
			}
		}
	})
}

func TestMySQLTxLockReadOnlyTransaction(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		tx, err := my.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		my.must(err)
		defer tx.Rollback()
		got, err := my.d.LockTx(t.Context(), tx, dialect.ServerLock{Name: "n"}, false)
		if got || err == nil || !strings.Contains(err.Error(), "READ ONLY") {
			t.Errorf("%t, %v", got, err)
		}
	})
}
