package sqllock_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Callers that try to read, again and again, don't keep a writer waiting by raising and lowering
// their flags.
func TestTryShareLetsWritersIn(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustRelease(t, mustTry(t, client(t, db, "first"), "page", locktest.Shared))
		for _, op := range []sqllocktest.Op{sqllocktest.OpAcquire, sqllocktest.OpRelease} {
			db.Delay(op, 10*time.Millisecond)
		}
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		defer readers.Wait()
		defer stop()
		for range 12 {
			c := client(t, db, "reader")
			readers.Go(func() {
				for ctx.Err() == nil {
					if lock, err := c.RWLock("page").TryAcquireShared(ctx); err == nil {
						_ = lock.Release(ctx)
					}
					time.Sleep(rand.N(10 * time.Millisecond)) // so that they don't run in step
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		waiting, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		lock, err := client(t, db, "writer").RWLock("page").Acquire(waiting)
		if err != nil {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("a writer waited %s", took)
		}
		mustRelease(t, lock)
	})
}

// A lock with a LockDelay that can't be released for now, because it is guarded, doesn't keep Close
// from releasing others.
func TestCloseBehindDelayedLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, other := client(t, db, "a"), client(t, db, "b")
		mustTry(t, c, "delayed", sqllock.LockDelay(time.Hour))
		mustTry(t, c, "plain")
		db.Delay(sqllocktest.OpRelease, time.Minute)
		began := time.Now()
		if err := c.Close(t.Context()); err == nil || time.Since(began) > 6*time.Second {
			t.Errorf("Close: %v after %s", err, time.Since(began))
		}
		db.Delay(sqllocktest.OpRelease, 0)
		mustRelease(t, mustTry(t, other, "plain"))
	})
}
