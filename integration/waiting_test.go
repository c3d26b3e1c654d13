package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// queued waits until exactly n processes wait for the lock.
func queued(t testing.TB, c *sqllock.Client, name string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	for {
		queue, err := c.Queue(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(queue) == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestFair checks that waiters get the lock in the order in which they came, on every engine,
// whether they are notified or poll.
func TestFair(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		first := client(t, connect(t, url), sqllock.Options{Holder: "first"})
		lock, err := first.Acquire(t.Context(), "job", sqllock.Fair())
		if err != nil {
			t.Fatal(err)
		}
		const waiters = 6
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range waiters {
			c := client(t, connect(t, url), sqllock.Options{Holder: fmt.Sprint("waiter ", i), PollOnly: i%2 == 1})
			group.Go(func() {
				lock, err := c.Acquire(t.Context(), "job", sqllock.Fair())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				mustRelease(t, lock)
			})
			queued(t, first, "job", i+1)
		}
		mustRelease(t, lock)
		group.Wait()
		if !slices.IsSorted(order) || len(order) != waiters {
			t.Errorf("the waiters got the lock in the order %v", order)
		}
		queued(t, first, "job", 0)
	})
}

// TestWaiterDies kills the next waiter in the queue, or freezes it, so that it is handed the lock
// all the same. The waiters behind it wait no longer than until its lease expires.
func TestWaiterDies(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"killed", "frozen"} {
		t.Run(what, func(t *testing.T) {
			servers.Each(t, func(t *testing.T, s *servers.Server) {
				url := database(t, s)
				c := client(t, connect(t, url), sqllock.Options{Holder: "holder"})
				lock, err := c.Acquire(t.Context(), "job")
				if err != nil {
					t.Fatal(err)
				}
				frozen := make(chan struct{}, 1)
				next := start(t, setup{URL: url, Holder: "next", TTL: crashTTL, ReapEvery: -1}, func(m message) {
					if m.Event == "frozen" {
						frozen <- struct{}{}
					}
				})
				if _, err := next.send("acquire", lockArgs{Name: "job"}); err != nil {
					t.Fatal(err)
				}
				queued(t, c, "job", 1)
				behind := client(t, connect(t, url), sqllock.Options{Holder: "behind"})
				got := make(chan error, 1)
				go func() {
					lock, err := behind.Acquire(t.Context(), "job")
					if err == nil {
						err = lock.Release(t.Context())
					}
					got <- err
				}()
				queued(t, c, "job", 2)
				stall := watchOutage(t)
				if what == "killed" {
					next.kill()
				} else if _, err := next.send("freeze", struct{}{}); err != nil {
					t.Fatal(err)
				} else {
					<-frozen
				}
				begun := time.Now()
				mustRelease(t, lock)
				if err := <-got; err != nil {
					t.Fatal(err)
				}
				if late, timers := time.Since(begun)-crashTTL, stall(); late > soonest+3*timers {
					t.Errorf("the waiter behind got the lock %s after the dead waiter's lease, with timers %s late",
						late, timers)
				}
				t.Logf("%s: the waiter behind got the lock after %s", what, time.Since(begun).Round(time.Millisecond))
			})
		})
	}
}

// TestHandOver measures how soon a waiter gets a released lock. On PostgreSQL a release notifies
// it; on the other engines it polls.
func TestHandOver(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		a := client(t, connect(t, url), sqllock.Options{Holder: "a"})
		b := client(t, connect(t, url), sqllock.Options{Holder: "b"})
		const rounds = 10
		var took []time.Duration
		stall := watchOutage(t)
		for range rounds {
			lock, err := a.Acquire(t.Context(), "job")
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan *sqllock.Lock, 1)
			go func() {
				lock, err := b.Acquire(t.Context(), "job")
				if err != nil {
					t.Error(err)
				}
				got <- lock
			}()
			queued(t, a, "job", 1)
			begun := time.Now()
			mustRelease(t, lock)
			next := <-got
			took = append(took, time.Since(begun))
			if next == nil {
				t.FailNow()
			}
			if next.Fence() <= lock.Fence() {
				t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
			}
			mustRelease(t, next)
			queued(t, a, "job", 0)
		}
		slices.Sort(took)
		t.Logf("median %s, most %s", took[rounds/2].Round(time.Microsecond), took[rounds-1].Round(time.Microsecond))
		timers := stall()
		if most := took[rounds-1]; most > soonest+3*timers {
			t.Errorf("a hand-over took %s; want %s at most, and timers were %s late at most", most, soonest, timers)
		}
	})
}
