package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// At most n callers hold a permit, each another one. A caller that wants one more learns how many
// there are and who has one.
func TestPermits(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		permits := make(map[int]bool)
		var locks []*sqllock.Lock
		for i := range 6 {
			c := a
			if i%2 == 1 {
				c = b
			}
			lock := mustTry(t, c, "pool", locktest.Permits(6))
			permits[lock.Permit()] = true
			locks = append(locks, lock)
		}
		if len(permits) != 6 {
			t.Errorf("six callers have the permits %v", permits)
		}
		_, err := b.Semaphore("pool", 6).TryAcquire(t.Context())
		held, ok := errors.AsType[*sqllock.HeldError](err)
		if !ok || !strings.Contains(err.Error(), "all 6 permits are held") || held.Holder == "" || held.Remaining <= 0 {
			t.Errorf("the seventh: %v", err)
		}
		got := waiter(t, b, "pool", locktest.Permits(6))
		mustRelease(t, locks[3])
		if next := <-got; next.Permit() != locks[3].Permit() || next.Fence() <= locks[3].Fence() {
			t.Errorf("got permit %d with fence %d after %d with %d",
				next.Permit(), next.Fence(), locks[3].Permit(), locks[3].Fence())
		}
	})
}

// A permit whose holder died is free when its lease has expired, and not before.
func TestPermitOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for range 3 {
			mustTry(t, a, "pool", locktest.Permits(3))
		}
		_, err := client(t, db, "early").Semaphore("pool", 3).TryAcquire(t.Context())
		wantErr(t, "while a lives", err, sqllock.ErrNotAcquired)
		db.ExpireAllLeases()
		b := client(t, db, "b")
		fences := make(map[int]int64)
		for range 3 {
			lock := mustTry(t, b, "pool", locktest.Permits(3))
			fences[lock.Permit()] = lock.Fence()
		}
		if len(fences) != 3 {
			t.Errorf("took over the permits %v", fences)
		}
	})
}

// A smaller n revokes no permit, and later callers get only the first n permits.
func TestPermitsChange(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		var locks []*sqllock.Lock
		for range 5 {
			locks = append(locks, mustTry(t, a, "pool", locktest.Permits(5)))
		}
		slices.SortFunc(locks, func(x, y *sqllock.Lock) int { return x.Permit() - y.Permit() })
		for _, lock := range locks[3:] { // beyond the new n
			_, err := b.Semaphore("pool", 3).TryAcquire(t.Context())
			wantErr(t, "n = 3", err, sqllock.ErrNotAcquired)
			if err := lock.Context().Err(); err != nil {
				t.Errorf("the holder of permit %d was sent away: %v", lock.Permit(), err)
			}
			mustRelease(t, lock)
		}
		mustRelease(t, locks[1])
		if lock := mustTry(t, b, "pool", locktest.Permits(3)); lock.Permit() != 1 {
			t.Errorf("got permit %d, want 1", lock.Permit())
		}
		mustTry(t, b, "pool") // the lock of that name is independent of the semaphore
	})
}

// A caller that waits for one of few permits doesn't delay others of its process that want one of
// more permits.
func TestPermitsOfSeveralSizes(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		first := mustTry(t, a, "pool", locktest.Permits(1))
		alone, one := waiter(t, b, "pool", locktest.Permits(1)), waiter(t, b, "pool", locktest.Permits(1))
		select {
		case lock := <-waiter(t, b, "pool", locktest.Permits(2)):
			mustRelease(t, lock)
		case <-time.After(time.Minute):
			t.Error("a free permit was not acquired because others wait for another one")
		}
		mustRelease(t, first)
		for range 2 {
			select {
			case lock := <-alone:
				mustRelease(t, lock)
			case lock := <-one:
				mustRelease(t, lock)
			}
		}
		nobodyLeft(t, db, a, "pool")
	})
}

// Of a thousand goroutines never more than n hold a permit at once, and all get one.
func TestPermitsContention(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		const n = 7
		clients := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c")}
		var now, most atomic.Int64
		var group sync.WaitGroup
		for i := range 300 {
			group.Go(func() {
				err := clients[i%3].Semaphore("pool", n).Do(t.Context(), func(context.Context, *sqllock.Lock) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(10 * time.Millisecond)
					now.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if most.Load() != n {
			t.Errorf("at most %d at once; want %d", most.Load(), n)
		}
		nobodyLeft(t, db, clients[0], "pool")
	})
}

func TestPermitsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for _, n := range []int{0, -1, sqllock.MaxPermits + 1} {
			_, err := a.Semaphore("pool", n).TryAcquire(t.Context())
			wantErr(t, fmt.Sprint(n), err, sqllock.ErrInvalid)
			_, err = a.Semaphore("pool", n).Acquire(t.Context())
			wantErr(t, fmt.Sprint(n), err, sqllock.ErrInvalid)
		}
	})
}
