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

// queued waits until so many processes wait for the lock.
func queued(t testing.TB, c *sqllock.Client, name string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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

// First come, first served, on every engine, by those who are told and by those who poll.
func TestFair(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		first := client(t, connect(t, url), sqllock.Options{Holder: "first"})
		lock, err := first.Acquire(t.Context(), "job", sqllock.Fair())
		if err != nil {
			t.Fatal(err)
		}
		const people = 6
		var mu sync.Mutex
		var order []int
		var group sync.WaitGroup
		for i := range people {
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
		if !slices.IsSorted(order) || len(order) != people {
			t.Errorf("they were served in the order %v", order)
		}
		queued(t, first, "job", 0)
	})
}

// The next in the queue is killed, or frozen and so handed the lock all the same: those behind it wait no longer than for its
// lease.
func TestWaiterDies(t *testing.T) {
	for what, die := range map[string]func(p *process){"killed": (*process).kill, "frozen": (*process).stop} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			servers.Each(t, func(t *testing.T, s *servers.Server) {
				url := database(t, s)
				c := client(t, connect(t, url), sqllock.Options{Holder: "holder"})
				lock, err := c.Acquire(t.Context(), "job")
				if err != nil {
					t.Fatal(err)
				}
				next := start(t, setup{URL: url, Holder: "next", TTL: crashTTL, ReapEvery: -1}, nil)
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
				die(next)
				begun := time.Now()
				mustRelease(t, lock)
				if err := <-got; err != nil {
					t.Fatal(err)
				}
				if late := time.Since(begun) - crashTTL; late > soon {
					t.Errorf("who stood behind got the lock %s after the lease of the dead one had ended", late)
				}
				t.Logf("%s: the one behind got it after %s", what, time.Since(begun).Round(time.Millisecond))
			})
		})
	}
}

// On PostgreSQL a release tells the next one; elsewhere it finds out. Here is how soon.
func TestHandOver(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		a := client(t, connect(t, url), sqllock.Options{Holder: "a"})
		b := client(t, connect(t, url), sqllock.Options{Holder: "b"})
		const rounds = 10
		var took []time.Duration
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
		if most := took[rounds-1]; most > soon {
			t.Errorf("a hand-over took %s", most)
		}
	})
}
