package integration

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/mysql"
	"github.com/sqllock/sqllock/open"
)

// An operation writes to a queue with one statement, which commits. Reading the queue is one more
// statement, which doesn't commit.
func TestMySQLQueueIsFewRoundTrips(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		db, writes := my.counted()
		d, ctx := mysql.New(db), t.Context()
		r := my.request("queue")
		my.acquire(d, r)
		next := r
		calls := []struct {
			what       string
			call       func() error
			statements int64
		}{
			{"enqueue", func() error {
				_, err := d.Enqueue(ctx, []dialect.Waiter{{Request: r}})
				return err
			}, 2},
			{"queue", func() error { _, err := d.Queue(ctx, r.Key, 10); return err }, 1},
			{"dequeue", func() error { _, err := d.Dequeue(ctx, []dialect.Claim{myClaim(r)}); return err }, 1},
			{"transfer", func() error {
				next = r
				next.Owner += "+"
				grants, err := d.Transfer(ctx, []dialect.Transfer{{Claim: myClaim(r), Next: next}})
				if err == nil && !grants[0].Granted {
					return errors.New("not transferred")
				}
				r = next
				return err
			}, 2},
		}
		for range 2 { // prepares the statements
			for _, c := range calls {
				my.must(c.call())
			}
		}
		for _, c := range calls {
			before, sent := my.status(db), writes.Load()
			my.must(c.call())
			n, after := writes.Load()-sent, my.status(db)
			executed := after.executed - before.executed
			if n != c.statements || executed != c.statements || after.prepared != before.prepared {
				t.Errorf("%s: %d round trips, want %d; the server's counters went from %+v to %+v",
					c.what, n, c.statements, before, after)
			}
		}
	})
}

// Many waiters in one queue never deadlock, at any isolation level, since a statement that waits
// for a row has locked none.
func TestMySQLQueueContention(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		lease := my.lease(time.Minute)
		variable := map[string]string{"mysql": "transaction_isolation", "mariadb": "tx_isolation"}[my.engine]
		for _, level := range []string{"READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"} {
			d := connect(t, withParameter(my.url, variable+"='"+level+"'")).Dialect.(*mysql.Dialect)
			var group sync.WaitGroup
			for range 12 {
				group.Go(func() {
					for range 20 {
						if err := my.queueUp(d, lease); err != nil {
							t.Errorf("%s: %v (class %s)", level, err, d.Classify(err))
						}
					}
				})
			}
			group.Wait()
		}
	})
}

// queueUp enqueues a waiter, transfers a lock of its own, purges waiters whose lease never existed,
// and dequeues the waiter.
func (my *myBench) queueUp(d *mysql.Dialect, lease string) error {
	ctx := my.Context()
	r := dialect.Request{Key: dialect.Key{Name: "queue"}, LeaseID: lease, Owner: rand.Text()}
	dead, own := r, r
	dead.LeaseID, dead.Owner = rand.Text(), rand.Text()
	own.Name, own.Owner = "own "+rand.Text(), rand.Text()
	next := own
	next.Owner = rand.Text()
	_, err := d.Enqueue(ctx, []dialect.Waiter{{Request: r}, {Request: dead}, {Request: next}, {Request: r}})
	if err != nil {
		return err
	}
	if _, err := d.Acquire(ctx, []dialect.Request{own}); err != nil {
		return err
	}
	grants, err := d.Transfer(ctx, []dialect.Transfer{{Claim: myClaim(own), Next: next}})
	if err == nil && !grants[0].Granted {
		err = errors.New("not transferred")
	}
	if err != nil {
		return err
	}
	if _, err := d.PurgeWaiters(ctx, 3); err != nil {
		return err
	}
	in, err := d.Dequeue(ctx, []dialect.Claim{myClaim(r), myClaim(dead), myClaim(next), myClaim(own)})
	if err == nil && (!in[0] || !in[2] || in[3]) {
		err = fmt.Errorf("Dequeue returned %t; want true for the first and third, and false for the fourth", in)
	}
	return err
}

// A transfer that waits for a guard blocks neither a new waiter nor any heartbeat. HoldAtLeast
// counts from the moment of the grant, not from the beginning of the wait.
func TestMySQLTransferBehindAGuard(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		ctx, r := t.Context(), my.request("guarded")
		my.acquire(my.d, r)
		my.release(r) // now the row exists, and the statements are prepared
		my.acquire(my.d, r)
		tx, err := my.db.BeginTx(ctx, nil)
		my.must(err)
		defer tx.Rollback()
		_, err = my.d.Guard(ctx, dialect.SQL(tx), []dialect.Claim{myClaim(r)})
		my.must(err)
		next := my.request(r.Name)
		next.HoldAtLeast = time.Minute
		transferred := make(chan error, 1)
		go func() {
			grants, err := my.d.Transfer(ctx, []dialect.Transfer{{Claim: myClaim(r), Next: next}})
			if err == nil && !grants[0].Granted {
				err = errors.New("not transferred")
			}
			transferred <- err
		}()
		for deadline := time.Now().Add(stepTimeout); !my.waitsForRow() && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond) // the server refreshes this table at most ten times a second
		}
		begun := time.Now()
		waiter := my.request(r.Name)
		positions, err := my.d.Enqueue(ctx, []dialect.Waiter{{Request: waiter}})
		my.must(err)
		alive, err := my.d.RenewLeases(ctx, []string{waiter.LeaseID, next.LeaseID, r.LeaseID})
		my.must(err)
		took := time.Since(begun)
		if took > stepTimeout/2 || !positions[0].First || !alive[0] || !alive[1] || !alive[2] {
			t.Errorf("position %+v, heartbeats %t, in %s", positions, alive, took)
		}
		select {
		case err := <-transferred:
			t.Fatalf("the transfer didn't wait for the guard: %v", err)
		case <-time.After(300 * time.Millisecond): // must not be missing from HoldAtLeast below
		}
		released := time.Now()
		my.must(tx.Commit())
		my.must(<-transferred)
		rows, err := my.d.Get(ctx, []dialect.Key{r.Key})
		my.must(err)
		if held := rows[0].FreeIn + time.Since(released); rows[0].Owner != next.Owner || held < time.Minute {
			t.Errorf("the lock is held for at least %s from the grant on, want a minute: %+v", held, rows[0])
		}
	})
}

// waitsForRow reports whether a statement on this database waits for a row lock.
func (my *myBench) waitsForRow() bool {
	my.Helper()
	return scan[int](my.T, &open.Database{DB: my.db}, "SELECT COUNT(*) FROM information_schema.innodb_trx AS t "+
		"JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id "+
		"WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()") > 0
}
