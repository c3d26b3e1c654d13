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
	"github.com/sqllock/sqllock/dialect/open"
)

// What writes to a queue is one statement that commits; what reads it, one more that doesn't.
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
			{"pass", func() error {
				next = r
				next.Owner += "+"
				grants, err := d.Pass(ctx, []dialect.Pass{{Claim: myClaim(r), Next: next}})
				if err == nil && !grants[0].Granted {
					return errors.New("refused")
				}
				r = next
				return err
			}, 2},
		}
		for range 2 { // the statements are prepared
			for _, c := range calls {
				my.must(c.call())
			}
		}
		for _, c := range calls {
			before, sent := my.status(db), writes.Load()
			my.must(c.call())
			n, after := writes.Load()-sent, my.status(db)
			if n != c.statements || after.executed-before.executed != c.statements || after.prepared != before.prepared {
				t.Errorf("%s: %d round trips; the server's count went from %+v to %+v", c.what, n, before, after)
			}
		}
	})
}

// A crowd at one queue deadlocks with nobody, on every level of isolation: what waits for a row has locked none.
func TestMySQLQueueCrowd(t *testing.T) {
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

// queueUp waits for a lock, gives up, purges waiters whose lease was never there, and passes on a lock of its own.
func (my *myBench) queueUp(d *mysql.Dialect, lease string) error {
	ctx := my.Context()
	r := dialect.Request{Key: dialect.Key{Name: "crowd"}, LeaseID: lease, Owner: rand.Text()}
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
	grants, err := d.Pass(ctx, []dialect.Pass{{Claim: myClaim(own), Next: next}})
	if err == nil && !grants[0].Granted {
		err = errors.New("not passed on")
	}
	if err != nil {
		return err
	}
	if _, err := d.PurgeWaiters(ctx, 3); err != nil {
		return err
	}
	in, err := d.Dequeue(ctx, []dialect.Claim{myClaim(r), myClaim(dead), myClaim(next), myClaim(own)})
	if err == nil && (!in[0] || !in[2] || in[3]) {
		err = fmt.Errorf("in the queue: %t", in)
	}
	return err
}

// A pass that waits behind a guard keeps nobody else waiting, neither who queues up nor his heartbeat; and what the lock is
// then held at least counts from when it was given.
func TestMySQLPassBehindAGuard(t *testing.T) {
	eachMySQL(t, func(t *testing.T, my *myBench) {
		ctx, r := t.Context(), my.request("guarded")
		my.acquire(my.d, r)
		my.release(r) // the row is there, and the statements are prepared
		my.acquire(my.d, r)
		tx, err := my.db.BeginTx(ctx, nil)
		my.must(err)
		defer tx.Rollback()
		_, err = my.d.Guard(ctx, tx, []dialect.Claim{myClaim(r)})
		my.must(err)
		next := my.request(r.Name)
		next.HoldAtLeast = time.Minute
		passed := make(chan error, 1)
		go func() {
			grants, err := my.d.Pass(ctx, []dialect.Pass{{Claim: myClaim(r), Next: next}})
			if err == nil && !grants[0].Granted {
				err = errors.New("not passed on")
			}
			passed <- err
		}()
		for deadline := time.Now().Add(patience); !my.waitsForRow() && time.Now().Before(deadline); {
			time.Sleep(200 * time.Millisecond) // asked more often than ten times a second, the server answers as before
		}
		begun := time.Now()
		waiter := my.request(r.Name)
		places, err := my.d.Enqueue(ctx, []dialect.Waiter{{Request: waiter}})
		my.must(err)
		alive, err := my.d.RenewLeases(ctx, []string{waiter.LeaseID, next.LeaseID, r.LeaseID})
		my.must(err)
		if took := time.Since(begun); took > patience/2 || !places[0].First || !alive[0] || !alive[1] || !alive[2] {
			t.Errorf("%+v, heartbeats %t, in %s", places, alive, took)
		}
		select {
		case err := <-passed:
			t.Fatalf("it didn't wait: %v", err)
		case <-time.After(300 * time.Millisecond): // of which nothing may be missing below
		}
		released := time.Now()
		my.must(tx.Commit())
		my.must(<-passed)
		rows, err := my.d.Look(ctx, []dialect.Key{r.Key})
		my.must(err)
		if held := rows[0].FreeIn + time.Since(released); rows[0].Owner != next.Owner || held < time.Minute {
			t.Errorf("held for %s: %+v", held, rows[0])
		}
	})
}

// waitsForRow tells whether a statement on this database waits for a row.
func (my *myBench) waitsForRow() bool {
	my.Helper()
	return scan[int](my.T, &open.Database{DB: my.db}, "SELECT COUNT(*) FROM information_schema.innodb_trx AS t "+
		"JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id "+
		"WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()") > 0
}
