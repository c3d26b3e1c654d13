package sqllock_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Two permits of a semaphore that are released at the same time are both handed off to one waiter
// while it reads the database. The second must not wait for room, with the whole Client behind it.
// That happens in a sixth of the rounds.
func TestHandOffGotTwo(t *testing.T) {
	const slow, hang = 200 * time.Millisecond, 30 * time.Second
	for round := range long.Or(50, 300) {
		stuck := time.AfterFunc(hang, func() { panic("TestHandOffGotTwo hangs: a release waits for its waiter") })
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			c := client(t, db, "a")
			a, b := mustTry(t, c, "s", locktest.Permits(2)), mustTry(t, c, "s", locktest.Permits(2))
			db.Delay(sqllocktest.OpTransfer, slow)
			db.Delay(sqllocktest.OpList, slow)
			var got time.Time
			var group sync.WaitGroup
			release := func(lock *sqllock.Lock) {
				if err := lock.Release(context.Background()); err != nil {
					t.Error(err)
				}
			}
			group.Go(func() {
				lock, err := c.Semaphore("s", 2).Acquire(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				got = time.Now()
				release(lock)
			})
			time.Sleep(time.Second + rand.N(time.Second))
			began := time.Now()
			group.Go(func() { release(a) })
			time.Sleep(rand.N(slow))
			group.Go(func() { release(b) })
			group.Wait()
			// One release hands the lock off or, if the waiter was just polling, frees it for the
			// next poll.
			if took := got.Sub(began); took > 2*slow {
				t.Errorf("round %d: the waiter has a permit %s after the first was released", round, took)
			}
			nobodyLeft(t, db, c, "s")
		})
		stuck.Stop()
	}
}
