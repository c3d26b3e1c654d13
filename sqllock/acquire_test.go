package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestAcquireWaits(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		go func() {
			time.Sleep(time.Minute)
			mustRelease(t, lock)
		}()
		start := time.Now()
		if _, err := b.Acquire(t.Context(), "job"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Minute || d > time.Minute+2*time.Second {
			t.Errorf("waited %s for a lock that was released after a minute", d)
		}
	})
}

func TestAcquireTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mustTry(t, a, "job")
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		start := time.Now()
		_, err := b.Acquire(ctx, "job")
		for _, want := range []error{sqllock.ErrNotAcquired, context.DeadlineExceeded, cause} {
			wantErr(t, "Acquire", err, want)
		}
		if held, ok := errors.AsType[*sqllock.HeldError](err); !ok || held.Holder != "a" {
			t.Errorf("the error doesn't say who holds the lock: %v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("a ctx of a minute ended the wait after %s", d)
		}
	})
}

// TestDeadHolder: nobody closes or releases anything; the lock can be taken when the lease has
// expired.
func TestDeadHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		b := client(t, db, "b")
		dead := abandon(t, db, "job", 0, 0)
		start := time.Now()
		lock, err := b.Acquire(t.Context(), "job")
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("took over after %s; the dead holder's TTL was 10 s", d)
		}
		if lock.Fence() <= dead {
			t.Errorf("fence %d after %d", lock.Fence(), dead)
		}
	})
}

func TestLockDelay(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		b := client(t, db, "b")
		abandon(t, db, "job", time.Minute, 0)
		start := time.Now()
		if _, err := b.Acquire(t.Context(), "job"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 70*time.Second || d > 72*time.Second {
			t.Errorf("took over after %s; want a TTL of 10 s and a LockDelay of 60 s", d)
		}

		lock := mustTry(t, b, "released", sqllock.LockDelay(time.Hour))
		mustRelease(t, lock)
		mustTry(t, b, "released") // a release is no failure
	})
}

func TestHoldAtLeast(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		start := time.Now()
		mustRelease(t, mustTry(t, a, "cron", sqllock.HoldAtLeast(time.Minute)))
		held := mustHeld(t, b, "cron")
		if held.Holder != "" || held.Remaining != time.Minute {
			t.Errorf("HeldError = %+v; want nobody, for a minute", held)
		}
		if _, err := b.Acquire(t.Context(), "cron"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Minute || d > time.Minute+10*time.Millisecond {
			t.Errorf("free again after %s; want a minute", d)
		}
		abandon(t, db, "crashed", 0, time.Minute)
		start = time.Now()
		if _, err := b.Acquire(t.Context(), "crashed"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < time.Minute {
			t.Errorf("free again after %s though its holder was to keep it for a minute at least", d)
		}
	})
}

// abandon leaves behind a lock of a process that died, with a TTL of 10 s. It returns the lock's
// fence.
func abandon(t *testing.T, db *sqllocktest.Dialect, name string, delay, hold time.Duration) int64 {
	t.Helper()
	err := db.CreateLease(t.Context(), dialect.Lease{ID: "dead/" + name, Holder: "dead", TTL: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	grants, err := db.Acquire(t.Context(), []dialect.Request{{
		Key: dialect.Key{Name: name}, LeaseID: "dead/" + name, Owner: "dead/" + name,
		LockDelay: delay, HoldAtLeast: hold,
	}})
	if err != nil || !grants[0].Granted {
		t.Fatal(grants, err)
	}
	return grants[0].Fence
}

// TestLocalQueueIsFirstComeFirstServed: it also checks that a thousand waiting goroutines are one
// waiter to the database.
func TestLocalQueueIsFirstComeFirstServed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		var order []int
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				l, err := b.Acquire(t.Context(), "job")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i) // under the lock
				time.Sleep(time.Millisecond)
				mustRelease(t, l)
			})
			synctest.Wait()
		}
		before := db.Calls(sqllocktest.Any)
		time.Sleep(10 * time.Second)
		// 10 polls, and the heartbeats of each client.
		if n := db.Calls(sqllocktest.Any) - before; n > 25 {
			t.Errorf("1,000 waiters cost %d statements in 10 s", n)
		}
		mustRelease(t, lock)
		start := time.Now()
		wg.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("number %d came %d.", got, i)
			}
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("handing over 1,000 times within a process took %s: it polls", d)
		}
	})
}

// TestCancelLeavesNothingBehind: the caller returns at once, and what a late reply grants is
// released.
func TestCancelLeavesNothingBehind(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, time.Second, 1500 * time.Millisecond, 3 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), client(t, db, "b")
				db.Delay(sqllocktest.Any, time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				start := time.Now()
				lock, err := a.TryAcquire(ctx, "job")
				if d := time.Since(start); d > after {
					t.Errorf("answered %s after its ctx ended", d-after)
				}
				if err == nil {
					mustRelease(t, lock)
				} else {
					wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
					wantErr(t, "TryAcquire", err, context.DeadlineExceeded)
				}
				db.Delay(sqllocktest.Any, 0)
				time.Sleep(5 * time.Second)
				mustTry(t, b, "job")
			})
		})
	}
}

// TestReplyLost: the request is sent again, and finds its own grant.
func TestReplyLost(t *testing.T) {
	for _, op := range []sqllocktest.Op{
		sqllocktest.OpCreateLease, sqllocktest.OpAcquire, sqllocktest.OpGet, sqllocktest.OpExpireLeases,
		sqllocktest.OpFree, sqllocktest.OpRelease, sqllocktest.OpDeleteLeases,
	} {
		t.Run(string(op), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				abandon(t, db, "job", 0, 0)
				db.Advance(time.Minute)
				a, b := client(t, db, "a"), client(t, db, "b")
				db.LoseReplies(op, 2)
				lock := mustTry(t, a, "job")
				mustRelease(t, lock)
				if err := a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				mustTry(t, b, "job")
			})
		})
	}
}

// TestNoAnswer: an outcome that stays unknown is an error, and leaves no lock behind while the
// lease is alive.
func TestNoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		other := mustTry(t, a, "other")
		db.LoseReplies(sqllocktest.OpAcquire, 1000)
		if _, err := a.TryAcquire(t.Context(), "job"); err == nil || errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire = %v; want the database's error", err)
		}
		time.Sleep(time.Second)
		if other.Context().Err() != nil {
			t.Error("another lock was lost with it")
		}
		db2 := db.Calls(sqllocktest.OpRelease)
		if db2 == 0 {
			t.Error("nothing was released")
		}
		for info, err := range b.Locks(t.Context()) {
			if err != nil || info.Name != "other" {
				t.Errorf("left behind: %+v, %v", info, err)
			}
		}
	})
}

// TestLateGrant: a lock that the server grants long after its caller gave up is released when that
// shows.
func TestLateGrant(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mustTry(t, a, "other") // keeps the lease alive
		db.Delay(sqllocktest.OpAcquire, 12*time.Second)
		if _, err := a.TryAcquire(t.Context(), "job"); err == nil {
			t.Error("acquired without an answer")
		}
		db.Delay(sqllocktest.OpAcquire, 0)
		time.Sleep(30 * time.Second)
		mustTry(t, b, "job")
	})
}

func TestTransientErrorsAreRetried(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		db.FailNext(sqllocktest.Any, 5, dialect.ClassTransient)
		mustRelease(t, mustTry(t, a, "job"))
		db.Outage(true)
		start := time.Now()
		_, err := a.TryAcquire(t.Context(), "job")
		if err == nil || errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire during an outage = %v; want the database's error", err)
		}
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("gave up after %s", d)
		}
		db.Outage(false)
	})
}

func TestPermanentErrorsAreNot(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for class, want := range map[dialect.Class]error{
			dialect.ClassPermanent: nil, dialect.ClassNoSchema: sqllock.ErrSchema,
		} {
			start := time.Now()
			db.FailNext(sqllocktest.OpAcquire, 1, class)
			_, err := a.TryAcquire(t.Context(), class.String())
			if err == nil || want != nil && !errors.Is(err, want) || time.Since(start) > 0 {
				t.Errorf("%s: %v after %s", class, err, time.Since(start))
			}
		}
	})
}

// TestStampede: many goroutines of several processes on few names. No two hold a name at once, and
// all get it.
func TestStampede(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Delay(sqllocktest.Any, time.Millisecond)
		var inside [3]int
		var wg sync.WaitGroup
		for p := range 4 {
			c := client(t, db, fmt.Sprint("process ", p))
			for g := range 25 {
				wg.Go(func() {
					n := g % len(inside)
					err := c.Do(t.Context(), fmt.Sprint("lock ", n), func(ctx context.Context, _ *sqllock.Lock) error {
						inside[n]++ // the race detector checks it too
						time.Sleep(time.Millisecond)
						if inside[n]--; inside[n] != 0 {
							return fmt.Errorf("%d others inside", inside[n])
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
	})
}
