package sqllock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestOneHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job", sqllock.WithNote("build 7"))
		held := mustHeld(t, b, "job")
		if held.Holder != "a" || held.Note != "build 7" || held.Fence != lock.Fence() || held.Self ||
			!held.Since.Equal(time.Now()) || held.Remaining != sqllock.DefaultTTL {
			t.Errorf("HeldError = %+v", held)
		}
		for _, part := range []string{`"job"`, "held by a", "build 7", "15s"} {
			if !strings.Contains(held.Error(), part) {
				t.Errorf("the error %q doesn't say %q", held, part)
			}
		}
		if self := mustHeld(t, a, "job"); !self.Self || !strings.Contains(self.Error(), "reentrant") {
			t.Errorf("one's own lock: %+v", self)
		}
		mustRelease(t, lock)
		if next := mustTry(t, b, "job"); next.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
		}
	})
}

func TestReleaseTwice(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job")
		mustRelease(t, lock)
		wantErr(t, "second Release", lock.Release(t.Context()), sqllock.ErrNotHeld)
		wantErr(t, "Guard", lock.Guard(t.Context(), nil), sqllock.ErrNotHeld)
		wantErr(t, "context", context.Cause(lock.Context()), sqllock.ErrNotHeld)
	})
}

func TestReleaseWorksThoughCtxHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		ctx, cancel := context.WithCancel(t.Context())
		lock, err := a.Acquire(ctx, "job")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if lock.Context().Err() != nil {
			t.Error("the ctx of Acquire ended the lock")
		}
		if err := lock.Release(ctx); err != nil {
			t.Error(err)
		}
		mustTry(t, b, "job")
	})
}

func TestGuard(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job")
		if err := lock.Guard(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestFrozenHolder: a process that was paused past its TTL has lost the lock, notices that, and can
// change nothing.
func TestFrozenHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		db.ExpireAllLeases()
		taken := mustTry(t, b, "job")
		if taken.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", taken.Fence(), lock.Fence())
		}
		wantErr(t, "Guard", lock.Guard(t.Context(), nil), sqllock.ErrLost)
		wantErr(t, "context", context.Cause(lock.Context()), sqllock.ErrLost)
		wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
		if err := taken.Guard(t.Context(), nil); err != nil {
			t.Error("the new holder:", err)
		}
	})
}

func TestLostByHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		one, two := mustTry(t, a, "one"), mustTry(t, a, "two")
		db.ExpireAllLeases()
		endsWithin(t, one, 0, sqllock.DefaultTTL/3+time.Second, sqllock.ErrLost)
		endsWithin(t, two, 0, time.Millisecond, sqllock.ErrLost)
		again := mustTry(t, a, "one") // under a new lease
		mustRelease(t, again)
	})
}

// TestOutage: the holder gives up before its lease can expire, counted from before the last
// heartbeat was sent.
func TestOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job", sqllock.WithTTL(10*time.Second))
		time.Sleep(time.Minute) // heartbeats keep the lease alive
		if lock.Context().Err() != nil {
			t.Fatal("lost without a reason:", context.Cause(lock.Context()))
		}
		db.Outage(true)
		endsWithin(t, lock, 10*time.Second/2, 10*time.Second, sqllock.ErrLost)
		db.Outage(false)
		wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
	})
}

// TestRemaining: an outage leaves the holder a second, and nothing else does.
func TestRemaining(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		released, lock := mustTry(t, c, "released"), mustTry(t, c, "job")
		if left := lock.Remaining(); left < 14*time.Second || left > sqllock.DefaultTTL {
			t.Errorf("Remaining is %s under a new lease of %s", left, sqllock.DefaultTTL)
		}
		mustRelease(t, released)
		if left := released.Remaining(); left != 0 {
			t.Errorf("Remaining is %s after the release", left)
		}
		db.Outage(true)
		<-lock.Context().Done()
		if left := lock.Remaining(); left < 900*time.Millisecond || left > time.Second {
			t.Errorf("Remaining is %s when an outage has ended the lock; want a second", left)
		}
		time.Sleep(time.Second)
		if left := lock.Remaining(); left != 0 {
			t.Errorf("Remaining is %s a second after that", left)
		}
		db.Outage(false)
		lost := mustTry(t, client(t, db, "b"), "other")
		db.ExpireAllLeases()
		<-lost.Context().Done()
		if left := lost.Remaining(); left != 0 {
			t.Errorf("Remaining is %s though the database says that the lease is over", left)
		}
	})
}

// TestHeartbeatHangs: the same while the database neither answers nor refuses.
func TestHeartbeatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job", sqllock.WithTTL(10*time.Second))
		db.Delay(sqllocktest.OpRenewLeases, time.Hour)
		endsWithin(t, lock, 8*time.Second, 9*time.Second, sqllock.ErrLost)
		db.Delay(sqllocktest.OpRenewLeases, 0)
	})
}

// TestHiccup: one or two failed heartbeats lose nothing.
func TestHiccup(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job")
		db.FailNext(sqllocktest.OpRenewLeases, 3, 0)
		time.Sleep(time.Minute)
		if lock.Context().Err() != nil {
			t.Error("lost by a hiccup:", context.Cause(lock.Context()))
		}
	})
}

func TestOneHeartbeatForAllLocks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		locks := make([]*sqllock.Lock, 1000)
		for i := range locks {
			locks[i] = mustTry(t, a, "lock/"+time.Duration(i).String())
		}
		before := db.Calls(sqllocktest.Any)
		time.Sleep(10 * sqllock.DefaultTTL)
		if n := db.Calls(sqllocktest.Any) - before; n < 29 || n > 30 {
			t.Errorf("1,000 locks cost %d statements in ten TTLs; want 30 heartbeats", n)
		}
		for _, lock := range locks {
			if lock.Context().Err() != nil {
				t.Fatal(context.Cause(lock.Context()))
			}
		}
	})
}

// TestIdleLease: a process that holds nothing stops sending heartbeats.
func TestIdleLease(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		mustRelease(t, mustTry(t, a, "job"))
		time.Sleep(time.Minute)
		before := db.Calls(sqllocktest.Any)
		time.Sleep(time.Hour)
		if n := db.Calls(sqllocktest.Any) - before; n > 0 {
			t.Errorf("an idle client sent %d statements in an hour", n)
		}
		mustTry(t, a, "job")
	})
}

func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		delayed := mustTry(t, a, "delayed", sqllock.LockDelay(time.Hour))
		waiting := make(chan error)
		go func() {
			_, err := b.Acquire(t.Context(), "job")
			waiting <- err
			_, err = a.Acquire(t.Context(), "other")
			waiting <- err
		}()
		synctest.Wait()
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; err != nil {
			t.Error("after Close another gets the lock:", err)
		}
		wantErr(t, "Acquire", <-waiting, sqllock.ErrClosed)
		wantErr(t, "context", context.Cause(lock.Context()), sqllock.ErrClosed)
		wantErr(t, "Release", delayed.Release(t.Context()), sqllock.ErrClosed)
		mustTry(t, b, "delayed") // Close is no failure: no delay
		if err := a.Close(t.Context()); err != nil {
			t.Error("second Close:", err)
		}
	})
}

// Close doesn't wait for the heartbeats of a lease that is being opened at that moment.
func TestCloseWhileALeaseOpens(t *testing.T) {
	for range 3000 {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			c := client(t, db, "a")
			done := make(chan struct{})
			go func() {
				defer close(done)
				if lock, err := c.TryAcquire(t.Context(), "job"); err == nil {
					_ = lock.Release(t.Context()) // fails if Close came first
				} else {
					wantErr(t, "TryAcquire", err, sqllock.ErrClosed)
				}
			}()
			for range rand.IntN(20) {
				runtime.Gosched()
			}
			began := time.Now()
			if err := c.Close(t.Context()); err != nil || time.Since(began) > time.Second {
				t.Fatalf("Close: %v after %s", err, time.Since(began))
			}
			<-done
		})
	}
}

func TestCloseDuringOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		mustTry(t, a, "job")
		db.Outage(true)
		start := time.Now()
		if err := a.Close(t.Context()); err == nil {
			t.Error("Close says that it released the locks, which it can't have")
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("Close took %s", d)
		}
		db.Outage(false)
	})
}

func TestDo(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mine := errors.New("mine")
		err := a.Do(t.Context(), "job", func(ctx context.Context, lock *sqllock.Lock) error {
			mustHeld(t, b, "job")
			return mine
		})
		if err != mine { //nolint:errorlint // the very same, not wrapped
			t.Errorf("Do = %v; want fn's own error", err)
		}
		mustRelease(t, mustTry(t, b, "job"))

		err = a.Do(t.Context(), "job", func(ctx context.Context, lock *sqllock.Lock) error {
			db.ExpireAllLeases()
			<-ctx.Done()
			wantErr(t, "fn's ctx", context.Cause(ctx), sqllock.ErrLost)
			return nil
		})
		wantErr(t, "Do of a lock that was lost", err, sqllock.ErrLost)

		func() {
			defer func() { _ = recover() }()
			_ = a.Do(t.Context(), "job", func(context.Context, *sqllock.Lock) error { panic("fn") })
		}()
		mustTry(t, b, "job")
		wantErr(t, "nil fn", a.Do(t.Context(), "job", nil), sqllock.ErrInvalid)
	})
}
