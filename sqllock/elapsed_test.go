package sqllock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// clockSteps are the distances by which the database's clock is moved, one after the other.
var clockSteps = map[string][]time.Duration{
	"an hour back": {-time.Hour}, "a day back": {-24 * time.Hour}, "an hour forth and back": {time.Hour, -time.Hour},
	"back twice": {-time.Hour, -24 * time.Hour}, "back and forth": {-time.Hour, time.Hour},
	"a few seconds back": {-3 * time.Second},
}

func eachClockStep(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect, move func())) {
	t.Helper()
	for name, steps := range clockSteps {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				f(t, db, func() {
					for _, step := range steps {
						db.Advance(step)
					}
				})
			})
		})
	}
}

// acquireWithin waits for the lock and returns how long that took.
func acquireWithin(
	t *testing.T, c *sqllock.Client, name string, most time.Duration, opts ...sqllock.Option,
) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	begun := time.Now()
	lock, err := c.Acquire(ctx, name, opts...)
	if err != nil {
		t.Fatalf("%q isn't free within %s: %v", name, most, err)
	}
	mustRelease(t, lock)
	return time.Since(begun)
}

// slowestPoll is how much later than possible a waiter may poll.
const slowestPoll = 3 * time.Second

func TestClockStepUnderFreeLock(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		a, b := client(t, db, "a"), client(t, db, "b")
		held := mustTry(t, a, "held meanwhile", sqllock.LockDelay(time.Hour))
		fence := mustTry(t, a, "again")
		mustRelease(t, fence)
		mustRelease(t, mustTry(t, a, "free"))
		if _, err := a.TryAcquireAll(t.Context(), []string{"several", "of them"}); err != nil {
			t.Fatal(err)
		}
		move()
		if err := held.Release(t.Context()); err != nil && !errors.Is(err, sqllock.ErrLost) {
			t.Error(err)
		}
		for _, name := range []string{"free", "held meanwhile"} {
			mustRelease(t, mustTry(t, b, name))
		}
		if again := mustTry(t, b, "again"); again.Fence() <= fence.Fence() {
			t.Errorf("fence %d after %d", again.Fence(), fence.Fence())
		}
	})
}

func TestClockStepUnderBar(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		a, b := client(t, db, "a"), client(t, db, "b")
		const bar = 20 * time.Second
		mustRelease(t, mustTry(t, a, "job", sqllock.HoldAtLeast(bar)))
		abandon(t, db, "dead", bar, 0)
		time.Sleep(11 * time.Second)
		mustHeld(t, b, "dead") // it is freed, and barred
		move()
		if took := acquireWithin(t, b, "dead", bar+slowestPoll); took > bar+slowestPoll {
			t.Errorf("LockDelay(%s) barred the lock for %s", bar, took)
		}
		acquireWithin(t, b, "job", slowestPoll+bar) // nobody has read it before
	})
}

// TestClockStepUnderBarThatIsWatched: a client that has watched the bar from the beginning isn't
// barred for longer than was asked.
func TestClockStepUnderBarThatIsWatched(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		a, b := client(t, db, "a"), client(t, db, "b")
		const bar = time.Minute
		begun := time.Now()
		mustRelease(t, mustTry(t, a, "job", sqllock.HoldAtLeast(bar)))
		mustHeld(t, b, "job")
		time.Sleep(bar / 2)
		move()
		acquireWithin(t, b, "job", bar)
		if took := time.Since(begun); took > bar+slowestPoll {
			t.Errorf("HoldAtLeast(%s) barred the lock for %s", bar, took)
		}
	})
}

func TestClockStepUnderDeadHolder(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		b := client(t, db, "b")
		for _, name := range []string{"waited for", "tried", "reaped"} {
			abandon(t, db, name, 0, 0) // TTL 10 s
		}
		move()
		if took := acquireWithin(t, b, "waited for", 10*time.Second+slowestPoll); took > 10*time.Second+slowestPoll {
			t.Errorf("a lease of 10s was waited for %s", took)
		}
		if _, err := b.TryAcquire(t.Context(), "tried"); err != nil { // seen for the first time now
			time.Sleep(11 * time.Second)
			mustRelease(t, mustTry(t, b, "tried"))
		}
		for range 2 {
			if _, err := b.Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(11 * time.Second)
		}
		if _, err := b.Reap(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := db.Get(t.Context(), []dialect.Key{{Name: "reaped"}})
		if err != nil || rows[0].Held {
			t.Errorf("the reaper has left %+v, %v", rows, err)
		}
	})
}

// TestClockStepUnderHolder: a live holder that renews its lease keeps the lock. If the clock is set
// ahead, its lease has expired and the holder loses the lock.
func TestClockStepUnderHolder(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "held")
		move()
		for range 100 {
			time.Sleep(time.Second)
			if _, err := b.TryAcquire(t.Context(), "held"); err == nil {
				t.Fatal("taken from a holder that lives")
			}
		}
		if err := lock.Context().Err(); err != nil {
			t.Error("the holder has lost the lock:", context.Cause(lock.Context()))
		}
		mustRelease(t, lock)
	})
}

// TestClockStepUnderDeadWaiter: a dead waiter is first in the queue, and nobody passes ahead of it
// until its lease has expired.
func TestClockStepUnderDeadWaiter(t *testing.T) {
	eachClockStep(t, func(t *testing.T, db *sqllocktest.Dialect, move func()) {
		reaping := func(o *sqllock.Options) { o.ReapEvery = 5 * time.Second }
		a, b := client(t, db, "a"), client(t, db, "b", reaping)
		lock := mustTry(t, a, "fair")
		err := db.CreateLease(t.Context(), dialect.Lease{ID: "dead", Holder: "dead", TTL: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Enqueue(t.Context(), []dialect.Waiter{{Request: dialect.Request{
			Key: dialect.Key{Name: "fair"}, LeaseID: "dead", Owner: "dead",
		}}})
		if err != nil {
			t.Fatal(err)
		}
		move()
		mustRelease(t, lock)
		acquireWithin(t, b, "fair", 30*time.Second, sqllock.Fair())
	})
}

// TestLockDelayCountsFromTheLeasesEnd: it doesn't matter who reads first, nor which of the dead
// holder's locks.
func TestLockDelayCountsFromTheLeasesEnd(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, c *sqllock.Client){
		"a takeover of another lock": func(t *testing.T, c *sqllock.Client) { mustRelease(t, mustTry(t, c, "other")) },
		"the reaper": func(t *testing.T, c *sqllock.Client) {
			if _, err := c.Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"nobody": func(*testing.T, *sqllock.Client) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				b, c := client(t, db, "b"), client(t, db, "c")
				const ttl, delay = 10 * time.Second, 20 * time.Second
				begun := time.Now()
				lease := dialect.Lease{ID: "dead", Holder: "dead", TTL: ttl}
				if err := db.CreateLease(t.Context(), lease); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"other", "m", "late"} {
					key := dialect.Key{Name: name}
					r := dialect.Request{Key: key, LeaseID: "dead", Owner: "dead " + name, LockDelay: delay}
					if name == "other" {
						r.LockDelay = 0
					}
					if _, err := db.Acquire(t.Context(), []dialect.Request{r}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(ttl + time.Second)
				look(t, b)
				time.Sleep(10 * time.Second)
				acquireWithin(t, c, "m", time.Minute)
				if took := time.Since(begun); took < ttl+delay || took > ttl+delay+slowestPoll {
					t.Errorf("free after %s; want it %s after its lease of %s ran out", took, delay, ttl)
				}
				mustRelease(t, mustTry(t, c, "late")) // its delay is over
			})
		})
	}
}
