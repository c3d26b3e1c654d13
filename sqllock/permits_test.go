package sqllock_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// At most n hold a permit, each another one, and who wants one more is told how many there are and who has one.
func TestPermits(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		slots := make(map[int]bool)
		var locks []*sqllock.Lock
		for i := range 6 {
			c := a
			if i%2 == 1 {
				c = b
			}
			lock := mustTry(t, c, "pool", sqllock.Permits(6))
			slots[lock.Slot()] = true
			locks = append(locks, lock)
		}
		if len(slots) != 6 {
			t.Errorf("six permits have the slots %v", slots)
		}
		_, err := b.TryAcquire(t.Context(), "pool", sqllock.Permits(6))
		held, ok := errors.AsType[*sqllock.HeldError](err)
		if !ok || !strings.Contains(err.Error(), "all 6 permits are held") || held.Holder == "" || held.Remaining <= 0 {
			t.Errorf("the seventh: %v", err)
		}
		got := waiter(t, b, "pool", sqllock.Permits(6))
		mustRelease(t, locks[3])
		if next := <-got; next.Slot() != locks[3].Slot() || next.Fence() <= locks[3].Fence() {
			t.Errorf("got permit %d with fence %d after %d with %d", next.Slot(), next.Fence(), locks[3].Slot(), locks[3].Fence())
		}
	})
}

// A permit whose holder died is free when its lease has run out, and not before.
func TestPermitOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for range 3 {
			mustTry(t, a, "pool", sqllock.Permits(3))
		}
		_, err := client(t, db, "early").TryAcquire(t.Context(), "pool", sqllock.Permits(3))
		wantErr(t, "while a lives", err, sqllock.ErrNotAcquired)
		db.ExpireLeases()
		b := client(t, db, "b")
		fences := make(map[int]int64)
		for range 3 {
			lock := mustTry(t, b, "pool", sqllock.Permits(3))
			fences[lock.Slot()] = lock.Fence()
		}
		if len(fences) != 3 {
			t.Errorf("took over the permits %v", fences)
		}
	})
}

// With a smaller n nobody is sent away, and who asks then keeps to it.
func TestPermitsChange(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		var locks []*sqllock.Lock
		for range 5 {
			locks = append(locks, mustTry(t, a, "pool", sqllock.Permits(5)))
		}
		slices.SortFunc(locks, func(x, y *sqllock.Lock) int { return x.Slot() - y.Slot() })
		for _, lock := range locks[3:] { // beyond the new n
			_, err := b.TryAcquire(t.Context(), "pool", sqllock.Permits(3))
			wantErr(t, "n = 3", err, sqllock.ErrNotAcquired)
			if err := lock.Context().Err(); err != nil {
				t.Errorf("the holder of permit %d was sent away: %v", lock.Slot(), err)
			}
			mustRelease(t, lock)
		}
		mustRelease(t, locks[1])
		if lock := mustTry(t, b, "pool", sqllock.Permits(3)); lock.Slot() != 1 {
			t.Errorf("got permit %d, want 1", lock.Slot())
		}
		_, err := b.TryAcquire(t.Context(), "pool")
		wantErr(t, "the exclusive lock is permit 0", err, sqllock.ErrNotAcquired)
		mustRelease(t, locks[0])
		mustTry(t, b, "pool")
	})
}

// Who waits for one of few permits keeps nobody of his process from one of more that is free.
func TestPermitsOfSeveralSizes(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		first := mustTry(t, a, "pool", sqllock.Permits(1))
		alone, one := waiter(t, b, "pool"), waiter(t, b, "pool", sqllock.Permits(1))
		select {
		case lock := <-waiter(t, b, "pool", sqllock.Permits(2)):
			mustRelease(t, lock)
		case <-time.After(time.Minute):
			t.Error("a free permit wasn't had, for those who wait for another")
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

// A thousand goroutines are never more than n at once, and all get their turn.
func TestPermitsCrowd(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		const n = 7
		clients := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c")}
		var now, most atomic.Int64
		var group sync.WaitGroup
		for i := range 300 {
			group.Go(func() {
				err := clients[i%3].Do(t.Context(), "pool", func(context.Context, *sqllock.Lock) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(10 * time.Millisecond)
					now.Add(-1)
					return nil
				}, sqllock.Permits(n))
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
		for what, opts := range map[string][]sqllock.Option{
			"none":         {sqllock.Permits(0)},
			"fewer":        {sqllock.Permits(-1)},
			"too many":     {sqllock.Permits(sqllock.MaxPermits + 1)},
			"shared":       {sqllock.Permits(2), sqllock.Shared()},
			"of a session": {sqllock.Permits(2), sqllock.Session()},
		} {
			_, err := a.TryAcquire(t.Context(), "pool", opts...)
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
		mustRelease(t, mustTry(t, a, "book", sqllock.Shared()))
		for range 5 { // the guessed permit may be another than the first
			if lock, err := a.TryAcquire(t.Context(), "book", sqllock.Permits(1)); !errors.Is(err, sqllock.ErrInvalid) {
				t.Errorf("permits of a shared lock's name: %v, %v", lock, err)
			}
		}
	})
}
