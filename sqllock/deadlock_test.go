package sqllock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// nested acquires the first lock, and then the second one while it holds the first. It reports the
// result and when it came.
func nested(
	t *testing.T, c *sqllock.Client, after time.Duration, first, second string, opts ...sqllock.Option,
) <-chan error {
	got := make(chan error, 1)
	go func() {
		got <- c.Do(t.Context(), first, func(ctx context.Context, _ *sqllock.Lock) error {
			time.Sleep(after)
			return c.Do(ctx, second, func(context.Context, *sqllock.Lock) error { return nil })
		}, opts...)
	}()
	synctest.Wait()
	return got
}

// Of two processes that wait for each other, the one that came last gives up soon, and the other
// goes on.
func TestDeadlock(t *testing.T) {
	ways := map[string]func(*sqllock.Options){"notified": func(*sqllock.Options) {}, "polling": pollOnly}
	for what, how := range ways {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "process a", how), client(t, db, "process b", how)
				start := time.Now()
				one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, 2*time.Second, "y", "x")
				err := <-other
				deadlock, ok := errors.AsType[*sqllock.DeadlockError](err)
				if !ok || !errors.Is(err, sqllock.ErrDeadlock) || !errors.Is(err, sqllock.ErrNotAcquired) {
					t.Fatalf("the last one: %v; want a *DeadlockError", err)
				}
				if d := time.Since(start); d < 3*time.Second || d > 3500*time.Millisecond {
					t.Errorf("found after %s", d)
				}
				if errors.Is(err, context.Canceled) {
					t.Errorf("%v is a context.Canceled, which the caller's wasn't", err)
				}
				for i, w := range deadlock.Cycle {
					want := []sqllock.DeadlockWait{
						{Holder: "process b", Name: "x", HeldBy: "process a"},
						{Holder: "process a", Name: "y", HeldBy: "process b"},
					}[i]
					if want.Fence, want.Since = w.Fence, w.Since; w != want || w.Fence == 0 || !w.Since.Equal(start) {
						t.Errorf("%d: %+v, want %+v since %s", i, w, want, start)
					}
				}
				if text := err.Error(); len(deadlock.Cycle) != 2 || deadlock.Name != "x" || !strings.Contains(text,
					`deadlock: process b waits for "x" held by process a`) ||
					!strings.Contains(text, `waits for "y" held by process b`) {
					t.Errorf("the error is %q", text)
				}
				if err := <-one; err != nil {
					t.Errorf("the other: %v", err)
				}
				noRowLeft(t, db, a)
			})
		})
	}
}

// noRowLeft is nobodyLeft for the queues of deadlock detection.
func noRowLeft(t *testing.T, db *sqllocktest.Dialect, c *sqllock.Client) {
	t.Helper()
	nobodyLeft(t, db, c, "x")
	if rows, err := db.WaitingHolders(t.Context(), 0, 10); err != nil || len(rows) > 0 {
		t.Errorf("left in the queue for deadlock detection: %+v, %v", rows, err)
	}
}

// A caller is found in its process's local queue too, behind another one that waits for the same
// lock and holds nothing.
func TestDeadlockInLocalQueue(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		theirs := nested(t, b, 2*time.Second, "x", "y")
		first := waiter(t, a, "x")
		ours := nested(t, a, 0, "y", "x")
		if err := <-theirs; !errors.Is(err, sqllock.ErrDeadlock) {
			t.Errorf("the last of the circle: %v; want ErrDeadlock", err)
		}
		mustRelease(t, <-first)
		if err := <-ours; err != nil {
			t.Error(err)
		}
		noRowLeft(t, db, a)
	})
}

// Three are in a circle, one of them twice, and a fourth waits outside of it: one gives up.
func TestDeadlockOfThree(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		circle := []<-chan error{
			nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "z"),
			nested(t, a, time.Second, "z", "x"),
		}
		outside := nested(t, b, time.Second, "outside", "x")
		victims := 0
		for _, got := range circle {
			if err := <-got; errors.Is(err, sqllock.ErrDeadlock) {
				victims++
			} else if err != nil {
				t.Error(err)
			}
		}
		if err := <-outside; victims != 1 || err != nil {
			t.Errorf("%d gave up; the one outside: %v", victims, err)
		}
		noRowLeft(t, db, a)
	})
}

// A caller that waits for a lock that it holds itself gets the error at once.
func TestDeadlockWithOneself(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		x := mustTry(t, a, "x")
		y, err := a.Acquire(x.Context(), "y")
		if err != nil {
			t.Fatal(err)
		}
		start, asked := time.Now(), db.Calls(sqllocktest.Any)
		for what, acquire := range map[string]func() (*sqllock.Lock, error){
			"in its ctx":           func() (*sqllock.Lock, error) { return a.Acquire(x.Context(), "x") },
			"in one that comes on": func() (*sqllock.Lock, error) { return a.Acquire(y.Context(), "x") },
			"said": func() (*sqllock.Lock, error) {
				return a.Acquire(t.Context(), "x", sqllock.Holding(y, x))
			},
		} {
			_, err := acquire()
			deadlock, ok := errors.AsType[*sqllock.DeadlockError](err)
			if !ok || len(deadlock.Cycle) != 1 || !strings.Contains(err.Error(), "not reentrant") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := db.Calls(sqllocktest.Any) - asked; n != 0 || time.Since(start) != 0 {
			t.Errorf("%d statements, %s", n, time.Since(start))
		}
		_, err = a.TryAcquire(x.Context(), "x")
		if errors.Is(err, sqllock.ErrDeadlock) || !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire, which doesn't wait: %v", err)
		}
		_, err = b.Acquire(x.Context(), "x") // another Client, perhaps of another database: found by the rows
		wantErr(t, "another Client's", err, sqllock.ErrDeadlock)

		mustRelease(t, x)
		again, err := a.Acquire(y.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, again)
		mustRelease(t, y)
		noRowLeft(t, db, a)
	})
}

// A lock that is not held, according to the caller, makes no circle; a lock that is held does.
func TestHolding(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		x, y := mustTry(t, a, "x"), mustTry(t, b, "y")
		short := func(parent context.Context) context.Context {
			ctx, cancel := context.WithTimeout(parent, time.Minute)
			t.Cleanup(cancel)
			return ctx
		}
		var both sync.WaitGroup
		var none, said error
		both.Go(func() { _, none = a.Acquire(short(x.Context()), "y", sqllock.Holding()) })
		both.Go(func() { _, said = b.Acquire(short(t.Context()), "x", sqllock.Holding(y)) })
		both.Wait()
		if errors.Is(none, sqllock.ErrDeadlock) || errors.Is(said, sqllock.ErrDeadlock) {
			t.Errorf("no circle, as they say: %v, %v", none, said)
		}
		both.Go(func() { _, none = a.Acquire(short(t.Context()), "y", sqllock.Holding(x)) })
		both.Go(func() { _, said = b.Acquire(short(t.Context()), "x", sqllock.Holding(y)) })
		both.Wait()
		if errors.Is(none, sqllock.ErrDeadlock) == errors.Is(said, sqllock.ErrDeadlock) {
			t.Errorf("a circle: %v, %v; want one ErrDeadlock", none, said)
		}
		for what, opts := range map[string][]sqllock.Option{
			"nil":          {sqllock.Holding(nil)},
			"never a lock": {sqllock.Holding(&sqllock.Lock{})},
		} {
			_, err := a.Acquire(t.Context(), "z", opts...)
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
	})
}

// A circle in which one holder dies between the two readings is none any more, because its lock is
// free. That is so also if it waits under another lease, which is alive.
func TestDeadlockWithTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) { oneDies(t, db) })
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) { oneDies(t, db, sqllock.WithTTL(time.Minute)) })
}

func oneDies(t *testing.T, db *sqllocktest.Dialect, opts ...sqllock.Option) {
	a, b := client(t, db, "a"), client(t, db, "b")
	one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "x", opts...)
	time.Sleep(2100 * time.Millisecond)
	rows, err := db.Get(t.Context(), []dialect.Key{{Name: "y"}})
	if err != nil || rows[0].Holder != "b" {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := db.DeleteLeases(t.Context(), []string{rows[0].LeaseID}); err != nil {
		t.Fatal(err)
	}
	if err := <-one; err != nil {
		t.Error("the live waiter:", err)
	}
	if err := <-other; !errors.Is(err, sqllock.ErrLost) || errors.Is(err, sqllock.ErrDeadlock) {
		t.Errorf("the dead one: %v; want ErrLost, and no ErrDeadlock", err)
	}
	noRowLeft(t, db, a)
}

// blind is a database in which one client can't see the waiters.
type blind struct {
	*sqllocktest.Dialect
	sees atomic.Bool
}

func (b *blind) WaitingHolders(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	if b.sees.Load() {
		return b.Dialect.WaitingHolders(ctx, after, limit)
	}
	return nil, &sqllocktest.Error{Op: sqllocktest.OpWaitingHolders, Class: dialect.ClassTransient, Reason: "blind"}
}

// The last waiter gives up, even if others see the circle first.
func TestDeadlockOneVictim(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		last := &blind{Dialect: db}
		a, b := client(t, db, "a"), client(t, last, "b")
		one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, 2*time.Second, "y", "x")
		time.Sleep(time.Minute)
		last.sees.Store(true)
		if err := <-other; !errors.Is(err, sqllock.ErrDeadlock) {
			t.Errorf("the last one: %v; want ErrDeadlock", err)
		}
		if err := <-one; err != nil {
			t.Error("the first one:", err)
		}
		noRowLeft(t, db, a)
	})
}

// A caller that holds nothing, or waits only for a moment, costs nothing. Otherwise it is two
// statements for each check, and fewer and fewer checks.
func TestDeadlockCost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		looks := func(f func()) int {
			before := db.Calls(sqllocktest.OpWaitingHolders)
			f()
			return db.Calls(sqllocktest.OpWaitingHolders) - before
		}
		y := mustTry(t, b, "y")
		if n := looks(func() {
			got := waiter(t, a, "y")
			time.Sleep(time.Minute)
			mustRelease(t, y)
			y = <-got
		}); n != 0 {
			t.Errorf("a caller that holds nothing checked %d times", n)
		}
		for _, c := range []struct {
			wait time.Duration
			most int
		}{{900 * time.Millisecond, 0}, {time.Minute, 10}} {
			if n := looks(func() {
				got := nested(t, b, 0, "x", "y")
				time.Sleep(c.wait)
				mustRelease(t, y)
				if err := <-got; err != nil {
					t.Error(err)
				}
			}); n > c.most || c.most > 0 && n == 0 {
				t.Errorf("in %s it checked %d times; want at most %d", c.wait, n, c.most)
			}
			y = mustTry(t, a, "y")
		}
		mustRelease(t, y)
		noRowLeft(t, db, a)
	})
}

// Failures and lost replies don't keep a deadlock from being found, and leave nothing behind.
func TestDeadlockDespiteFaults(t *testing.T) {
	for what, spoil := range map[string]func(db *sqllocktest.Dialect){
		"lost enqueue": func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpEnqueue, 4) },
		"lost dequeue": func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpDequeue, 4) },
		"failed read": func(db *sqllocktest.Dialect) {
			db.FailNext(sqllocktest.OpWaitingHolders, 2, dialect.ClassTransient)
		},
		"failed insert": func(db *sqllocktest.Dialect) {
			db.FailNext(sqllocktest.OpEnqueue, 3,
				dialect.ClassPermanent)
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a", pollOnly), client(t, db, "b", pollOnly)
				one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "x")
				time.Sleep(1500 * time.Millisecond) // their queue entries are written
				spoil(db)
				first, second := <-one, <-other
				if errors.Is(first, sqllock.ErrDeadlock) == errors.Is(second, sqllock.ErrDeadlock) {
					t.Errorf("%v, %v; want one ErrDeadlock", first, second)
				}
				noRowLeft(t, db, a)
			})
		})
	}
}

// Readers and writers can be in cycles too: waiting to read or to write is blocked by a writer, and
// nobody can wait for itself to stop reading.
func TestDeadlockOfWriters(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "process a"), client(t, db, "process b")
		nothing := func(context.Context, *sqllock.Lock) error { return nil }
		x := func(c *sqllock.Client) *sqllock.RWLock { return c.RWLock("x") }
		y := func(c *sqllock.Client) *sqllock.RWLock { return c.RWLock("y") }
		one, other := make(chan error, 1), make(chan error, 1)
		go func() {
			one <- x(a).Do(t.Context(), func(ctx context.Context, _ *sqllock.Lock) error {
				time.Sleep(time.Second)
				return y(a).Do(ctx, nothing)
			})
		}()
		go func() {
			other <- y(b).Do(t.Context(), func(ctx context.Context, _ *sqllock.Lock) error {
				time.Sleep(2 * time.Second)
				return x(b).DoShared(ctx, nothing)
			})
		}()
		wantErr(t, "who waits to read", <-other, sqllock.ErrDeadlock)
		if err := <-one; err != nil {
			t.Error(err)
		}
		err := x(a).Do(t.Context(), func(ctx context.Context, _ *sqllock.Lock) error {
			return x(a).DoShared(ctx, nothing)
		})
		wantErr(t, "read while it writes", err, sqllock.ErrDeadlock)
		err = x(a).DoShared(t.Context(), func(ctx context.Context, _ *sqllock.Lock) error {
			return x(a).Do(ctx, nothing)
		})
		wantErr(t, "write while it reads", err, sqllock.ErrDeadlock)
	})
}

// Sets of locks are in circles like single locks: by the locks that they hold already, and by those
// held where they are acquired.
func TestDeadlockOfSets(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		x := mustTry(t, a, "x")
		_, err := a.AcquireAll(x.Context(), []string{"w", "x"})
		wantErr(t, "a set with what is held", err, sqllock.ErrDeadlock)
		mustRelease(t, mustTry(t, b, "w"))

		y := mustTry(t, b, "y")
		got := make(chan error, 1)
		go func() {
			set, err := b.AcquireAll(y.Context(), []string{"v", "x"})
			if err == nil {
				err = set.Release(t.Context())
			}
			got <- err
		}()
		time.Sleep(100 * time.Millisecond)
		_, err = a.Acquire(x.Context(), "v") // which the set holds while it waits for x
		wantErr(t, "the last one", err, sqllock.ErrDeadlock)
		mustRelease(t, x)
		if err := <-got; err != nil {
			t.Error("the set:", err)
		}
		mustRelease(t, y)
		noRowLeft(t, db, a)
	})
}
