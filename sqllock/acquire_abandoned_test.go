package sqllock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Callers that come and go don't pile up work on a slow database: one statement for each name is in
// flight, and nothing is begun for callers that have left. Only the first caller's statement,
// before which statements were quick, is broken off, and what it may still do is released.
func TestCallersThatGiveUpDontPileUp(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "x")) // opens the lease
		db.Delay(sqllocktest.OpAcquire, time.Second)
		before := db.Calls(sqllocktest.Any)
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := c.Acquire(ctx, "x")
			cancel()
			wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
			wantErr(t, "Acquire", err, context.DeadlineExceeded)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := db.Calls(sqllocktest.Any) - before; n > 25 {
			t.Errorf("50 callers that gave up cost %d statements; want at most 25", n)
		}
		mustRelease(t, mustTry(t, c, "x"))
	})
}

// A lease that expires while the attempt is stuck, as in a frozen process, is no failure of the
// database: the next lease is tried.
func TestLeaseRunsOutMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		mustRelease(t, mustTry(t, c, "x", sqllock.WithTTL(time.Second)))
		db.Delay(sqllocktest.Any, 2*time.Second)
		time.AfterFunc(1500*time.Millisecond, func() { db.Delay(sqllocktest.Any, 0) })
		lock, err := c.Acquire(t.Context(), "x", sqllock.WithTTL(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, lock)
	})
}

// A ctx that never ends costs no goroutine of its own. Otherwise nothing changes: Close waits for
// calls in progress, and later calls are refused.
func TestContextThatNeverEnds(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		forever := context.Background()
		lock, err := a.Acquire(forever, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.TryAcquire(forever, "x")
		wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
		mustRelease(t, lock)

		db.Delay(sqllocktest.OpAcquire, time.Second)
		answered := make(chan error, 1)
		go func() {
			_, err := a.TryAcquire(forever, "x")
			answered <- err
		}()
		synctest.Wait()
		if err := a.Close(forever); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // no time passes
		select {
		case err := <-answered:
			if err == nil {
				t.Error("a lock was granted by a Client that was being closed")
			}
		default:
			t.Error("Close didn't wait for the acquire in flight")
		}
		_, err = a.TryAcquire(forever, "x")
		wantErr(t, "TryAcquire", err, sqllock.ErrClosed)
		mustTry(t, b, "x")
	})
}
