package sqllock_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// nobodyLeft checks that nothing is held and nobody waits, once the background work is done.
func nobodyLeft(t *testing.T, db *sqllocktest.Dialect, c *sqllock.Client, name string) {
	t.Helper()
	time.Sleep(time.Minute)
	synctest.Wait()
	for info, err := range c.Locks(t.Context()) {
		t.Errorf("left behind: %+v, %v", info, err)
	}
	queue, err := db.Queue(t.Context(), dialect.Key{Name: name}, 10)
	if err != nil || len(queue) > 0 {
		t.Errorf("left in the queue: %+v, %v", queue, err)
	}
}

// waiter waits for the lock in the background, and delivers it when it has it.
func waiter(t *testing.T, c *sqllock.Client, name string, opts ...any) <-chan *sqllock.Lock {
	got := make(chan *sqllock.Lock, 1)
	go func() {
		lock, err := locktest.Acquire(t.Context(), c, name, opts...)
		if err != nil {
			t.Error(err)
		}
		got <- lock
	}()
	synctest.Wait()
	return got
}

// A release hands the lock over to the first waiter, which is notified at once and asks for
// nothing.
func TestHandover(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		got := waiter(t, b, "job", sqllock.WithNote("from b"))
		time.Sleep(time.Hour)
		asked, start := db.Calls(sqllocktest.OpAcquire), time.Now()
		mustRelease(t, lock)
		next := <-got
		if d := time.Since(start); d != 0 {
			t.Errorf("b was notified after %s", d)
		}
		if n := db.Calls(sqllocktest.OpAcquire) - asked; n != 0 {
			t.Errorf("b asked %d times for what it was given", n)
		}
		if held := mustHeld(t, a, "job"); held.Holder != "b" || held.Note != "from b" || held.Fence != next.Fence() {
			t.Errorf("%+v; b has fence %d", held, next.Fence())
		}
		if next.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
		}
		mustRelease(t, next)
		nobodyLeft(t, db, a, "job")
	})
}

// A notification that is lost, and a connection that is cut, cost the time of a poll.
func TestHandoverNotificationLost(t *testing.T) {
	for what, spoil := range map[string]func(db *sqllocktest.Dialect){
		"lost": func(db *sqllocktest.Dialect) { db.LoseNotifications(1) },
		"cut":  func(db *sqllocktest.Dialect) { db.CutListeners(); db.LoseNotifications(1) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), client(t, db, "b")
				lock := mustTry(t, a, "job")
				got := waiter(t, b, "job")
				time.Sleep(time.Minute)
				spoil(db)
				start := time.Now()
				mustRelease(t, lock)
				next := <-got
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("b noticed after %s", d)
				}
				if err := next.Context().Err(); err != nil || next.Fence() <= lock.Fence() {
					t.Errorf("fence %d after %d, %v", next.Fence(), lock.Fence(), err)
				}
				mustRelease(t, next)
				time.Sleep(time.Minute)

				lock = mustTry(t, a, "job") // the connection is opened again
				got = waiter(t, b, "job")
				time.Sleep(time.Hour)
				start = time.Now()
				mustRelease(t, lock)
				mustRelease(t, <-got)
				if d := time.Since(start); d != 0 {
					t.Errorf("the next time, b was notified after %s", d)
				}
				nobodyLeft(t, db, a, "job")
			})
		})
	}
}

// mute is a database behind a pooler, through which no notifications come.
type mute struct{ *sqllocktest.Dialect }

func (mute) OpenListener(context.Context, string) (dialect.Listener, error) {
	return nil, fmt.Errorf("%w: a pooler", dialect.ErrUnsupported)
}

// Without notifications, waiters poll, and no lock is handed over to them, because they would not
// notice it.
func TestNoNotifications(t *testing.T) {
	for what, open := range map[string]func(t *testing.T, db *sqllocktest.Dialect) *sqllock.Client{
		"refused":  func(t *testing.T, db *sqllocktest.Dialect) *sqllock.Client { return client(t, mute{db}, "b") },
		"PollOnly": func(t *testing.T, db *sqllocktest.Dialect) *sqllock.Client { return client(t, db, "b", pollOnly) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), open(t, db)
				lock := mustTry(t, a, "job")
				got := waiter(t, b, "job")
				time.Sleep(time.Minute)
				start := time.Now()
				mustRelease(t, lock)
				mustRelease(t, <-got)
				if d := time.Since(start); d > 1300*time.Millisecond {
					t.Errorf("b noticed after %s", d)
				}
				nobodyLeft(t, db, a, "job")
			})
		})
	}
}

// Waiters that are notified don't starve one that polls: it becomes the first in the queue, and
// then nobody is notified.
func TestPollerAmongListeners(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		poller := client(t, db, "poller", pollOnly)
		db.Delay(sqllocktest.Any, time.Millisecond)
		stop := make(chan struct{})
		var group sync.WaitGroup
		for i := range 3 {
			c := client(t, db, fmt.Sprint("listener ", i))
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					lock, err := c.Acquire(t.Context(), "job")
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Millisecond)
					mustRelease(t, lock)
				}
			})
		}
		time.Sleep(time.Second)
		start := time.Now()
		lock, err := poller.Acquire(t.Context(), "job")
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("the waiter that polls had to wait for %s", d)
		}
		mustRelease(t, lock)
		close(stop)
		group.Wait()
		nobodyLeft(t, db, poller, "job")
	})
}

// Callers give up around the very moment of the hand-over: nothing stays held, and the lock goes
// on.
func TestHandoverToNobody(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		db.Delay(sqllocktest.Any, 10*time.Millisecond)
		for at := range 60 {
			lock := mustTry(t, a, "job")
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if lock, err := b.Acquire(ctx, "job"); err == nil {
					mustRelease(t, lock)
				}
			}()
			time.Sleep(time.Duration(at) * time.Millisecond * 3)
			time.AfterFunc(time.Duration(at%30)*time.Millisecond, cancel)
			mustRelease(t, lock)
			<-done
			start := time.Now()
			lock, err := c.Acquire(t.Context(), "job")
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("given up after %d ms: the lock was stuck for %s", at%30, d)
			}
			mustRelease(t, lock)
		}
		nobodyLeft(t, db, a, "job")
	})
}

// Within a process the lock is handed off in one statement, until another process wants it.
func TestTransfer(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		db.Delay(sqllocktest.Any, time.Millisecond)
		const waiters = 50
		var order []string
		var last int64
		hold := func(c *sqllock.Client, who string) {
			lock, err := c.Acquire(t.Context(), "job")
			if err != nil {
				t.Error(err)
				return
			}
			if lock.Fence() <= last {
				t.Errorf("fence %d after %d", lock.Fence(), last)
			}
			last, order = lock.Fence(), append(order, who)
			time.Sleep(100 * time.Millisecond)
			mustRelease(t, lock)
		}
		var group sync.WaitGroup
		for range waiters {
			group.Go(func() { hold(a, "a") })
		}
		time.Sleep(2050 * time.Millisecond)
		group.Go(func() { hold(b, "b") })
		group.Wait()
		if at := slices.Index(order, "b"); len(order) != waiters+1 || at > 23 {
			t.Errorf("b came after twenty, and was number %d of %d", at, len(order))
		}
		if n := db.Calls(sqllocktest.OpTransfer); n < waiters-10 || db.Calls(sqllocktest.OpRelease) > 10 {
			t.Errorf("%d transfers, %d releases of %d", n, db.Calls(sqllocktest.OpRelease), len(order))
		}
		nobodyLeft(t, db, a, "job")
	})
}

// Replies to transfers are lost, some after the server carried them out and some before.
func TestTransferReplyLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for i := range 6 {
			first := mustTry(t, a, "job")
			got := waiter(t, a, "job")
			if i%2 == 0 {
				db.LoseReplies(sqllocktest.OpTransfer, 1+i/2)
			} else {
				db.FailNext(sqllocktest.OpTransfer, 1+i/2, dialect.ClassUnknown)
			}
			mustRelease(t, first)
			second := <-got
			if second.Fence() <= first.Fence() {
				t.Errorf("fence %d after %d", second.Fence(), first.Fence())
			}
			mustRelease(t, second)
			nobodyLeft(t, db, a, "job")
		}
	})
}

// Waiters are served first come, first served across processes, whether they are notified or poll.
func TestFair(t *testing.T) {
	for what, opts := range map[string][]func(*sqllock.Options){"notified": nil, "polling": {pollOnly}} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				first := mustTry(t, client(t, db, "first"), "job", sqllock.Fair())
				var order []int
				var group sync.WaitGroup
				for i := range 10 {
					c := client(t, db, fmt.Sprint(i), opts...)
					group.Go(func() {
						lock, err := c.Acquire(t.Context(), "job", sqllock.Fair())
						if err != nil {
							t.Error(err)
							return
						}
						order = append(order, i)
						time.Sleep(10 * time.Millisecond)
						mustRelease(t, lock)
					})
					time.Sleep(50 * time.Millisecond)
				}
				late := client(t, db, "late")
				mustRelease(t, first)
				_, err := late.TryAcquire(t.Context(), "job", sqllock.Fair())
				wantErr(t, "TryAcquire that would pass ahead", err, sqllock.ErrNotAcquired)
				group.Wait()
				if !slices.IsSorted(order) || len(order) != 10 {
					t.Errorf("they were served in the order %v", order)
				}
				mustRelease(t, mustTry(t, late, "job", sqllock.Fair()))
				nobodyLeft(t, db, late, "job")
			})
		})
	}
}

// A dead waiter delays those behind it until its lease has expired, and no longer.
func TestFairBehindTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		dead := dialect.Lease{ID: "dead", Holder: "dead", TTL: 10 * time.Second}
		if err := db.CreateLease(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Enqueue(t.Context(), []dialect.Waiter{{
			Request: dialect.Request{Key: dialect.Key{Name: "job"}, LeaseID: dead.ID, Owner: "dead"},
		}}); err != nil {
			t.Fatal(err)
		}
		got := waiter(t, b, "job", sqllock.Fair())
		start := time.Now()
		mustRelease(t, lock)
		mustRelease(t, <-got)
		if d := time.Since(start); d < 9*time.Second || d > 10200*time.Millisecond {
			t.Errorf("b waited for %s behind a dead one with a lease of 10s", d)
		}
		if r, err := a.Reap(t.Context()); err != nil || r.Waiters != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		nobodyLeft(t, db, a, "job")
	})
}

// A lease that ends while its waiter is in the queue takes the queue entry with it: there is
// another one under the next lease.
func TestQueueEntryEndsWithItsLease(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		got := waiter(t, b, "job")
		queue, err := db.Queue(t.Context(), dialect.Key{Name: "job"}, 2)
		if err != nil || len(queue) != 1 {
			t.Fatalf("%+v, %v", queue, err)
		}
		if err := db.DeleteLeases(t.Context(), []string{queue[0].LeaseID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		start := time.Now()
		mustRelease(t, lock)
		mustRelease(t, <-got)
		if d := time.Since(start); d != 0 {
			t.Errorf("b was notified after %s", d)
		}
		nobodyLeft(t, db, b, "job")
	})
}

// Many processes that want one lock cost a few statements for each time that it changes hands.
func TestStatementsOfAHandover(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Delay(sqllocktest.Any, time.Millisecond)
		const waiters, rounds = 100, 20
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i := range waiters {
			c := client(t, db, fmt.Sprint(i))
			group.Go(func() {
				for round := range rounds {
					lock, err := c.Acquire(t.Context(), "job")
					if err != nil {
						t.Error(err)
						return
					}
					mustRelease(t, lock)
					if round == 0 {
						<-begin
					}
				}
			})
		}
		time.Sleep(time.Minute)
		before := db.Calls(sqllocktest.Any)
		close(begin)
		group.Wait()
		each := float64(db.Calls(sqllocktest.Any)-before) / (waiters * (rounds - 1))
		t.Logf("%.2f statements a hand-over", each)
		if each > 4 {
			t.Errorf("%.2f statements a hand-over; want at most 4", each)
		}
	})
}

// Queue lists the waiters in order, and refuses bad names.
func TestQueue(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c", pollOnly)
		lock := mustTry(t, a, "job")
		first := waiter(t, b, "job", sqllock.WithNote("first"))
		began := time.Now()
		second := waiter(t, c, "job")
		time.Sleep(time.Second)
		queue, err := a.Queue(t.Context(), "job")
		if err != nil || len(queue) != 2 || queue[0].Holder != "b" || queue[0].Note != "first" ||
			queue[1].Holder != "c" {
			t.Fatalf("%+v, %v", queue, err)
		}
		if !queue[0].Since.Equal(began) {
			t.Errorf("b waits since %v, want %v", queue[0].Since, began)
		}
		_, err = a.Queue(t.Context(), "")
		wantErr(t, "no name", err, sqllock.ErrInvalid)
		mustRelease(t, lock)
		mustRelease(t, <-first)
		mustRelease(t, <-second)
		nobodyLeft(t, db, a, "job")
	})
}
