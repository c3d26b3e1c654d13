package sqllock_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A release waits for nobody: the waiter to which the lock is handed off may be busy, even waiting
// for the release.
func TestReleaseWaitsForNoHandOff(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a", pollOnly), client(t, db, "b")
		theirs := mustTry(t, b, "job")
		ours := make(chan *sqllock.Lock, 1)
		released := make(chan struct{})
		got := waiter(t, a, "job", sqllock.OnWait(func(held *sqllock.HeldError) {
			if held.Self {
				(<-ours).Release(t.Context()) //nolint:errcheck // checked by what follows
				close(released)
			}
		}))
		mustRelease(t, theirs)
		ours <- mustTry(t, a, "job") // before the waiter polls again
		select {
		case <-released:
		case <-time.After(time.Minute):
			t.Fatal("the release waits for the waiter that waits for it")
		}
		mustRelease(t, <-got)
		nobodyLeft(t, db, a, "job")
	})
}

// Callers give up around the moment when a goroutine of their own process hands the lock off to
// them. The lock goes on all the same.
func TestTransferToNobody(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		db.Delay(sqllocktest.Any, 10*time.Millisecond)
		for at := range 40 {
			lock := mustTry(t, a, "job")
			ctx, cancel := context.WithCancel(t.Context())
			gone, behind := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(gone)
				if lock, err := a.Acquire(ctx, "job"); err == nil {
					mustRelease(t, lock)
				}
			}()
			time.Sleep(100 * time.Millisecond)
			go func() {
				defer close(behind)
				lock, err := a.Acquire(t.Context(), "job")
				if err != nil {
					t.Error(err)
					return
				}
				mustRelease(t, lock)
			}()
			time.AfterFunc(time.Duration(at)*time.Millisecond/2, cancel)
			start := time.Now()
			mustRelease(t, lock)
			<-gone
			<-behind
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("given up after %d ms/2: the one behind waited for %s", at, d)
			}
		}
		if db.Calls(sqllocktest.OpTransfer) == 0 {
			t.Error("nothing was ever handed off")
		}
		nobodyLeft(t, db, a, "job")
	})
}

// lateQueue is a database that the first request to enqueue reaches late, and whose reply is lost.
type lateQueue struct {
	*sqllocktest.Dialect
	sent atomic.Bool
}

func (d *lateQueue) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	if d.sent.Swap(true) {
		return d.Dialect.Enqueue(ctx, waiters)
	}
	time.AfterFunc(5*time.Second, func() { _, _ = d.Dialect.Enqueue(context.WithoutCancel(ctx), waiters) })
	return nil, &sqllocktest.Error{Class: dialect.ClassUnknown, Reason: "connection cut"}
}

// A queue entry that is written when its waiter already has the lock is removed.
func TestQueuedUpTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, &lateQueue{Dialect: db}, "b")
		mustTry(t, b, "other") // keeps the lease alive
		lock := mustTry(t, a, "job")
		got := waiter(t, b, "job")
		time.Sleep(time.Second)
		mustRelease(t, lock)
		mustRelease(t, <-got)
		time.Sleep(time.Minute)
		queue, err := db.Queue(t.Context(), dialect.Key{Name: "job"}, 10)
		if err != nil || len(queue) > 0 {
			t.Errorf("left in the queue: %+v, %v", queue, err)
		}
		mustRelease(t, mustTry(t, a, "job"))
		mustRelease(t, mustTry(t, a, "job"))
	})
}

// A caller that took a dead holder's lock still has its queue entry for a moment. A release right
// after that frees the lock and doesn't hand it over to that entry.
func TestReleaseBehindOwnQueueEntry(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		b, c := client(t, db, "b"), client(t, db, "c")
		abandon(t, db, "job", 0, 0)
		db.Delay(sqllocktest.OpDequeue, 100*time.Millisecond)
		lock := <-waiter(t, b, "job")
		mustRelease(t, lock)
		mustRelease(t, mustTry(t, c, "job"))
	})
}

// A waiter with Fair that was handed the lock has it, even if the notification is lost and others
// wait behind it by then.
func TestLostHandOverOfFair(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		lock := mustTry(t, a, "job")
		first := waiter(t, b, "job", sqllock.Fair())
		time.Sleep(time.Second)
		second := waiter(t, c, "job", sqllock.Fair())
		time.Sleep(time.Second)
		db.LoseNotifications(1)
		mustRelease(t, lock)
		for _, got := range []<-chan *sqllock.Lock{first, second} {
			select {
			case lock := <-got:
				mustRelease(t, lock)
			case <-time.After(time.Minute):
				t.Fatal("a lock that was handed over is held, and nobody has it")
			}
		}
	})
}

// A lock that was handed off to a waiter while that was reading the database, and whose lease was
// lost before the waiter came to fetch it, doesn't end the wait.
func TestHandedOffAndLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a", pollOnly, func(o *sqllock.Options) { o.TTL = 10 * time.Second })
		lock := mustTry(t, a, "job")
		got := waiter(t, a, "job")
		db.LoseReplies(sqllocktest.OpRenewLeases, 20) // the lease is given up after 8.99 s, and lasts
		time.Sleep(7500 * time.Millisecond)
		db.Delay(sqllocktest.OpGet, 2*time.Second)
		time.Sleep(1400 * time.Millisecond)
		handed := db.Calls(sqllocktest.OpTransfer)
		mustRelease(t, lock)
		if db.Calls(sqllocktest.OpTransfer) == handed {
			t.Fatal("the lock wasn't handed off")
		}
		lock = <-got
		if err := context.Cause(lock.Context()); err != nil {
			t.Errorf("Acquire returned a lock that is over: %v", err)
		}
		mustRelease(t, lock)
	})
}

// doubleQueue is a database that carries out the first request to enqueue at once and once more
// later, and whose first reply is lost.
type doubleQueue struct {
	*sqllocktest.Dialect
	sent atomic.Bool
}

func (d *doubleQueue) Enqueue(ctx context.Context, waiters []dialect.Waiter) ([]dialect.QueuePosition, error) {
	answer, err := d.Dialect.Enqueue(ctx, waiters)
	if err != nil || d.sent.Swap(true) {
		return answer, err
	}
	time.AfterFunc(3*time.Second, func() { _, _ = d.Dialect.Enqueue(context.WithoutCancel(ctx), waiters) })
	return nil, &sqllocktest.Error{Class: dialect.ClassUnknown, Reason: "connection cut"}
}

// A waiter leaves, the lock is handed over to its queue entry, and only then is the entry written a
// second time. That it is in the queue again doesn't mean that it doesn't hold the lock.
func TestHandedOverAndQueuedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		b := client(t, &doubleQueue{Dialect: db}, "b", func(o *sqllock.Options) { o.TTL = 3 * time.Second })
		mustTry(t, b, "other") // keeps the lease alive
		lock := mustTry(t, a, "job")
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := b.Acquire(ctx, "job"); err == nil {
			t.Fatal("two holders")
		}
		db.Delay(sqllocktest.OpDequeue, 4*time.Second)
		time.Sleep(time.Second)
		mustRelease(t, lock)
		time.Sleep(10 * time.Second)
		mustRelease(t, mustTry(t, a, "job"))
	})
}
