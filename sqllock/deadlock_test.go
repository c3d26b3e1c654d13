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

// nested takes the first lock, and after that the second one while it holds it, and tells what came of that and when.
func nested(t *testing.T, c *sqllock.Client, after time.Duration, first, second string, opts ...sqllock.Option) <-chan error {
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

// Of two processes that wait for each other, the one that came last gives up soon, and the other goes on.
func TestDeadlock(t *testing.T) {
	for what, how := range map[string]func(*sqllock.Options){"told": func(*sqllock.Options) {}, "polling": pollOnly} {
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
						{Holder: "process b", Name: "x", HeldBy: "process a"}, {Holder: "process a", Name: "y", HeldBy: "process b"},
					}[i]
					if want.Fence, want.Since = w.Fence, w.Since; w != want || w.Fence == 0 || !w.Since.Equal(start) {
						t.Errorf("%d: %+v, want %+v since %s", i, w, want, start)
					}
				}
				if text := err.Error(); len(deadlock.Cycle) != 2 || deadlock.Name != "x" || !strings.Contains(text,
					`deadlock: process b waits for "x" held by process a`) || !strings.Contains(text, `waits for "y" held by process b`) {
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

// noRowLeft is nobodyLeft for the rows of those who hold something.
func noRowLeft(t *testing.T, db *sqllocktest.Dialect, c *sqllock.Client) {
	t.Helper()
	nobodyLeft(t, db, c, "x")
	if rows, err := db.Holding(t.Context(), 0, 10); err != nil || len(rows) > 0 {
		t.Errorf("left in the queue of those who hold something: %+v, %v", rows, err)
	}
}

// One who stands in the line of his process, behind another who waits for the same and holds nothing, is found too.
func TestDeadlockInLine(t *testing.T) {
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

// Three in a circle, one of them twice in it, and one that waits outside of it: one gives up.
func TestDeadlockOfThree(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		circle := []<-chan error{
			nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "z"), nested(t, a, time.Second, "z", "x"),
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

// Who waits for what he holds himself is told at once.
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
			"said":                 func() (*sqllock.Lock, error) { return a.Acquire(t.Context(), "x", sqllock.Holding(y, x)) },
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
		if _, err := a.TryAcquire(x.Context(), "x"); errors.Is(err, sqllock.ErrDeadlock) || !errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire, which doesn't wait: %v", err)
		}
		_, err = b.Acquire(x.Context(), "x") // another Client, perhaps of another database: the rows tell
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

// What is not held, as the caller says, makes no circle; what is, does.
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
			"session":      {sqllock.Session(), sqllock.Holding(x)},
		} {
			_, err := a.Acquire(t.Context(), "z", opts...)
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
	})
}

// A circle in which one dies between the two looks is none any more: what he holds is free. That is so also if he waits under
// another lease, which lives.
func TestDeadlockWithTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) { oneDies(t, db) })
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) { oneDies(t, db, sqllock.WithTTL(time.Minute)) })
}

func oneDies(t *testing.T, db *sqllocktest.Dialect, opts ...sqllock.Option) {
	a, b := client(t, db, "a"), client(t, db, "b")
	one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "x", opts...)
	time.Sleep(2100 * time.Millisecond)
	rows, err := db.Look(t.Context(), []dialect.Key{{Name: "y"}})
	if err != nil || rows[0].Holder != "b" {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := db.DeleteLeases(t.Context(), []string{rows[0].LeaseID}); err != nil {
		t.Fatal(err)
	}
	if err := <-one; err != nil {
		t.Error("who lives:", err)
	}
	if err := <-other; !errors.Is(err, sqllock.ErrLost) || errors.Is(err, sqllock.ErrDeadlock) {
		t.Errorf("the dead one: %v; want ErrLost, and no ErrDeadlock", err)
	}
	noRowLeft(t, db, a)
}

// blind is a database in which one client can't see who waits.
type blind struct {
	*sqllocktest.Dialect
	sees atomic.Bool
}

func (b *blind) Holding(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error) {
	if b.sees.Load() {
		return b.Dialect.Holding(ctx, after, limit)
	}
	return nil, &sqllocktest.Error{Op: sqllocktest.OpHolding, Class: dialect.Transient, Reason: "blind"}
}

// It is the last one who gives up, though others see the circle first.
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

// Who holds nothing pays nothing, nor does who waits for a moment only; else it is two statements a look, and ever fewer looks.
func TestDeadlockCost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		looks := func(f func()) int {
			before := db.Calls(sqllocktest.OpHolding)
			f()
			return db.Calls(sqllocktest.OpHolding) - before
		}
		y := mustTry(t, b, "y")
		if n := looks(func() {
			got := waiter(t, a, "y")
			time.Sleep(time.Minute)
			mustRelease(t, y)
			y = <-got
		}); n != 0 {
			t.Errorf("one who holds nothing looked %d times", n)
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
				t.Errorf("in %s it looked %d times; want at most %d", c.wait, n, c.most)
			}
			y = mustTry(t, a, "y")
		}
		mustRelease(t, y)
		noRowLeft(t, db, a)
	})
}

// Failures and lost replies keep nobody from finding it, and leave nothing.
func TestDeadlockDespiteFaults(t *testing.T) {
	for what, spoil := range map[string]func(db *sqllocktest.Dialect){
		"lost enqueue":  func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpEnqueue, 4) },
		"lost dequeue":  func(db *sqllocktest.Dialect) { db.LoseReplies(sqllocktest.OpDequeue, 4) },
		"failed look":   func(db *sqllocktest.Dialect) { db.FailNext(sqllocktest.OpHolding, 2, dialect.Transient) },
		"failed insert": func(db *sqllocktest.Dialect) { db.FailNext(sqllocktest.OpEnqueue, 3, dialect.Permanent) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a", pollOnly), client(t, db, "b", pollOnly)
				one, other := nested(t, a, time.Second, "x", "y"), nested(t, b, time.Second, "y", "x")
				time.Sleep(1500 * time.Millisecond) // their seats are taken
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

// Readers and writers are in cycles too: who waits to read or to write is blocked by who writes, and nobody can wait for
// himself to stop reading.
func TestDeadlockOfWriters(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "process a"), client(t, db, "process b")
		for _, name := range []string{"x", "y"} {
			mustRelease(t, mustTry(t, a, name, sqllock.Shared()))
		}
		one := nested(t, a, time.Second, "x", "y")
		other := make(chan error, 1)
		go func() {
			other <- b.Do(t.Context(), "y", func(ctx context.Context, _ *sqllock.Lock) error {
				time.Sleep(2 * time.Second)
				return b.Do(ctx, "x", func(context.Context, *sqllock.Lock) error { return nil }, sqllock.Shared())
			})
		}()
		wantErr(t, "who waits to read", <-other, sqllock.ErrDeadlock)
		if err := <-one; err != nil {
			t.Error(err)
		}
		for what, opts := range map[string][2][]sqllock.Option{
			"read while it writes": {nil, {sqllock.Shared()}}, "write while it reads": {{sqllock.Shared()}, nil},
		} {
			err := a.Do(t.Context(), "x", func(ctx context.Context, _ *sqllock.Lock) error {
				return a.Do(ctx, "x", func(context.Context, *sqllock.Lock) error { return nil }, opts[1]...)
			}, opts[0]...)
			wantErr(t, what, err, sqllock.ErrDeadlock)
		}
	})
}

// Sets of locks are in circles like any other: what they hold already, and what is held where they are wanted.
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
