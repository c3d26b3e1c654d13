package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func mustAll(t *testing.T, c *sqllock.Client, names ...string) *sqllock.Set {
	t.Helper()
	set, err := c.AcquireAll(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// nothingHeld checks that no lock is held and nobody waits, once the background work is done.
func nothingHeld(t *testing.T, db *sqllocktest.Dialect, c *sqllock.Client, names ...string) {
	t.Helper()
	for _, name := range names {
		nobodyLeft(t, db, c, name)
	}
}

func TestAcquireAll(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "c")
		mustAll(t, c, "warm") // opens the lease
		asked := db.Calls(sqllocktest.OpAcquire)
		names := []string{"9", "3", "1", "7", "5", "8", "2", "6", "4", "0"}
		set := mustAll(t, c, names...)
		if n := db.Calls(sqllocktest.OpAcquire) - asked; n != 1 {
			t.Errorf("ten free names took %d statements, want 1", n)
		}
		for i, l := range set.Locks() {
			if l.Name() != names[i] || set.Lock(names[i]) != l || l.Fence() == 0 ||
				mustHeld(t, c, names[i]).Fence != l.Fence() {
				t.Errorf("%d: %q with fence %d; want %q", i, l.Name(), l.Fence(), names[i])
			}
		}
		if len(set.Locks()) != len(names) || set.Lock("other") != nil || set.Context().Err() != nil {
			t.Errorf("%d locks, %v, %v", len(set.Locks()), set.Lock("other"), set.Context().Err())
		}
		if err := set.Release(t.Context()); err != nil {
			t.Error(err)
		}
		<-set.Context().Done()
		wantErr(t, "cause", context.Cause(set.Context()), sqllock.ErrNotHeld)
		wantErr(t, "a second Release", set.Release(t.Context()), sqllock.ErrNotHeld)
		for _, bad := range [][]string{nil, {}, {"a", "b", "a"}, {"a", ""}} {
			_, err := c.AcquireAll(t.Context(), bad)
			wantErr(t, fmt.Sprintf("%q", bad), err, sqllock.ErrInvalid)
		}
		_, err := c.TryAcquireAll(t.Context(), []string{"a", "b"}, nil)
		wantErr(t, "a nil option", err, sqllock.ErrInvalid)
	})
}

// While one name is waited for, no greater one is held. When ctx ends none is held, and the error
// says who holds the missing one.
func TestAcquireAllOrNone(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		middle := mustTry(t, a, "m")
		_, err := b.TryAcquireAll(t.Context(), []string{"z", "m", "c"})
		held, ok := errors.AsType[*sqllock.HeldError](err)
		if !ok || held.Name != "m" || held.Holder != "a" {
			t.Errorf("TryAcquireAll: %v", err)
		}
		for _, free := range []string{"c", "z"} {
			mustRelease(t, mustTry(t, a, free))
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failed := make(chan error)
		go func() {
			_, err := b.AcquireAll(ctx, []string{"z", "m", "c"})
			failed <- err
		}()
		time.Sleep(10 * time.Second)
		mustHeld(t, a, "c")
		mustRelease(t, mustTry(t, a, "z"))
		err = <-failed
		held, ok = errors.AsType[*sqllock.HeldError](err)
		if !ok || held.Name != "m" || held.Holder != "a" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("AcquireAll: %v", err)
		}
		mustRelease(t, middle)
		nothingHeld(t, db, a, "c", "m", "z")
	})
}

// The lease ends while the last name is waited for. All locks of the set are then held under the
// next lease.
func TestAcquireAllAfterLoss(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		last := mustTry(t, a, "z", sqllock.WithTTL(time.Hour))
		got := make(chan *sqllock.Set)
		go func() { got <- mustAll(t, b, "x", "y", "z") }()
		time.Sleep(time.Second)
		rows, err := db.Get(t.Context(), []dialect.Key{{Name: "x"}})
		if err != nil || db.DeleteLeases(t.Context(), []string{rows[0].LeaseID}) != nil {
			t.Fatal(rows, err)
		}
		time.Sleep(time.Minute)
		mustRelease(t, last)
		set := <-got
		for _, l := range set.Locks() {
			held := mustHeld(t, a, l.Name())
			if l.Context().Err() != nil || held.Fence != l.Fence() || held.Holder != "b" {
				t.Errorf("%q: %v, held %+v", l.Name(), l.Context().Err(), held)
			}
		}
		if err := set.Release(t.Context()); err != nil {
			t.Error(err)
		}
		nothingHeld(t, db, a, "x", "y", "z")
	})
}

// Lost replies, cut connections and late requests leave nothing behind.
func TestAcquireAllDespiteFaults(t *testing.T) {
	for what, spoil := range map[string]func(db *sqllocktest.Dialect){
		"lost replies": func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpAcquire, 2) },
		"never there":  func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpAcquire, 1000) },
		"refused":      func(db *sqllocktest.Dialect) { db.FailNext(sqllocktest.OpAcquire, 1, dialect.ClassPermanent) },
		"slow":         func(db *sqllocktest.Dialect) { db.Delay(sqllocktest.OpAcquire, 2*time.Second) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				c := client(t, db, "c")
				mustRelease(t, mustTry(t, c, "warm"))
				spoil(db)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				set, err := c.AcquireAll(ctx, []string{"x", "y", "z"})
				if d := time.Since(start); d > time.Second {
					t.Errorf("answered after %s", d)
				}
				if (err == nil) != (what == "lost replies") {
					t.Errorf("%v, %v", set, err)
				}
				if err == nil {
					if err := set.Release(t.Context()); err != nil {
						t.Error(err)
					}
				} else if errors.Is(err, ctx.Err()) {
					wantErr(t, "at the end of ctx", err, sqllock.ErrNotAcquired)
				}
				time.Sleep(time.Minute)
				nothingHeld(t, db, c, "x", "y", "z")
			})
		})
	}
}

// TestAcquireAllProperty: callers with overlapping sets never hold a name at the same time, and all
// get their sets.
func TestAcquireAllProperty(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
	sets := rapid.SliceOfN(rapid.SliceOfNDistinct(names, 1, 5, rapid.ID), 2, 8)
	rapid.Check(t, func(rt *rapid.T) {
		wanted, notified := sets.Draw(rt, "sets"), rapid.Bool().Draw(rt, "notified")
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			db := sqllocktest.New()
			db.Delay(sqllocktest.OpAcquire, 3*time.Millisecond)
			var mu sync.Mutex
			inside := make(map[string]int)
			var all sync.WaitGroup
			for i, names := range wanted {
				c := client(t, db, fmt.Sprint("process ", i), func(o *sqllock.Options) { o.PollOnly = !notified })
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					for range 3 {
						set, err := c.AcquireAll(ctx, names)
						if err != nil {
							mu.Lock()
							wrong = append(wrong, err.Error())
							mu.Unlock()
							return
						}
						enter := func(by int) {
							mu.Lock()
							defer mu.Unlock()
							for _, name := range names {
								if inside[name] += by; inside[name] > 1 {
									wrong = append(wrong, "two have "+name)
								}
							}
						}
						enter(1)
						time.Sleep(time.Duration(i) * time.Millisecond)
						enter(-1)
						if err := set.Release(ctx); err != nil || !slices.Equal(names, namesOf(set)) {
							t.Error(err, names)
						}
					}
				})
			}
			all.Wait()
		})
		for _, w := range wrong {
			rt.Error(w)
		}
	})
}

func namesOf(set *sqllock.Set) (names []string) {
	for _, l := range set.Locks() {
		names = append(names, l.Name())
	}
	return names
}
