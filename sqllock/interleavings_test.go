package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// How the kinds of locks affect each other where they meet under one name or in one process.

// doOnce does the work for a key and reports the result.
func doOnce(ctx context.Context, c *sqllock.Client, key string, work func(ctx context.Context)) <-chan error {
	got := make(chan error, 1)
	go func() {
		_, err := once.Do(ctx, c, key, func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			work(ctx)
			return nil, nil
		})
		got <- err
	}()
	synctest.Wait()
	return got
}

// Waiting for the work for a key is not waiting for the lock of that name, which the caller may
// hold meanwhile.
func TestOnceUnderTheLockOfItsName(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		working := doOnce(t.Context(), b, "x", func(context.Context) { time.Sleep(time.Minute) })
		err := a.Do(t.Context(), "x", func(ctx context.Context, _ *sqllock.Lock) error {
			_, err := once.Do(ctx, a, "x", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
			return err
		})
		if err != nil {
			t.Errorf("the caller that waited for another's work: %v", err)
		}
		if err := <-working; err != nil {
			t.Error(err)
		}
		noRowLeft(t, db, a)
	})
}

// Work that is done once, and under which other work is done once, in a circle: one caller gives
// up.
func TestOnceDeadlock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		other := make(chan error, 2)
		inner := func(c *sqllock.Client, key string) func(context.Context) {
			return func(ctx context.Context) {
				time.Sleep(time.Second)
				_, err := once.Do(ctx, c, key, func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
				other <- err
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		one, two := doOnce(ctx, a, "x", inner(a, "y")), doOnce(ctx, b, "y", inner(b, "x"))
		first, second := <-other, <-other
		if !errors.Is(first, sqllock.ErrDeadlock) || second != nil {
			t.Errorf("got %v and %v; want one ErrDeadlock", first, second)
		}
		if err := errors.Join(<-one, <-two); err != nil {
			t.Error(err)
		}
		noRowLeft(t, db, a)
	})
}

// No permit is handed off within the process while another process is first in the queue for
// permits.
func TestPermitIsNotPassedOverOthers(t *testing.T) {
	for n := range 3 {
		t.Run(fmt.Sprint("permit ", n), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), client(t, db, "b")
				fair, permits := sqllock.Fair(), locktest.Permits(3)
				locks := make(map[int]*sqllock.Lock)
				for range 3 {
					lock := mustTry(t, a, "pool", fair, permits)
					locks[lock.Permit()] = lock
				}
				theirs := waiter(t, b, "pool", fair, permits)
				time.Sleep(time.Second)
				ours := waiter(t, a, "pool", fair, permits)
				time.Sleep(time.Second)
				mustRelease(t, locks[n])
				var next *sqllock.Lock
				select {
				case next = <-ours:
					t.Error("the second in the queue got it")
				case next = <-theirs:
				}
				mustRelease(t, next)
				select {
				case next = <-ours:
				case next = <-theirs:
				}
				mustRelease(t, next)
			})
		})
	}
}

// A process that hands a permit from goroutine to goroutine doesn't keep a waiter from it for ever.
func TestPermitsGoRound(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		for first := mustTry(t, a, "pool", locktest.Permits(2)); first.Permit() != 0; {
			mustRelease(t, first)
			first = mustTry(t, a, "pool", locktest.Permits(2))
		}
		busy, stop := context.WithCancel(t.Context())
		for range 2 {
			go func() {
				for busy.Err() == nil {
					_ = a.Semaphore("pool", 2).Do(busy, holdFor(time.Second))
				}
			}()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := b.Semaphore("pool", 2).Acquire(ctx); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// What the leader waits for is waited for while it leads, as under a lock. Campaigning once more is
// waiting for itself.
func TestRunHoldsTheLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		e, err := election.New(a, "lead")
		if err != nil {
			t.Fatal(err)
		}
		most, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		theirs := make(chan error, 1)
		go func() {
			theirs <- b.Do(most, "x", func(ctx context.Context, _ *sqllock.Lock) error {
				time.Sleep(time.Second)
				again, _ := election.New(b, "lead")
				_, err := again.Campaign(ctx)
				return err
			})
		}()
		synctest.Wait()
		err = e.Run(most, func(ctx context.Context, _ *election.Term) error {
			_, err := e.Campaign(ctx)
			wantErr(t, "campaigning again", err, sqllock.ErrDeadlock)
			_, err = a.Acquire(ctx, "x")
			return err
		})
		first, second := errors.Is(err, sqllock.ErrDeadlock), errors.Is(<-theirs, sqllock.ErrDeadlock)
		if first == second {
			t.Errorf("Run: %v; want one ErrDeadlock", err)
		}
	})
}

// The first readers of a name, at the same time, don't block each other.
func TestFirstReadersAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Delay(sqllocktest.OpAcquire, time.Second)
		a, b := client(t, db, "a"), client(t, db, "b")
		got := make(chan error, 3)
		for _, c := range []*sqllock.Client{a, a, b} {
			go func() {
				_, err := c.RWLock("x").TryAcquireShared(t.Context())
				got <- err
			}()
			synctest.Wait()
		}
		for range 3 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		_, err := b.RWLock("x").TryAcquire(t.Context())
		wantErr(t, "a writer", err, sqllock.ErrNotAcquired)
	})
}

// A campaign that would wait for ever, because the caller holds what the leader waits for, ends
// Run.
func TestRunInADeadlock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lead := func(c *sqllock.Client) *election.Election {
			e, err := election.New(c, "lead")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		term, err := lead(b).Campaign(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lock := mustTry(t, a, "x")
		waits := make(chan *sqllock.Lock, 1)
		go func() {
			l, err := b.Acquire(term.Context(), "x")
			if err != nil {
				t.Error(err)
			}
			waits <- l
		}()
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(lock.Context(), time.Minute)
		defer cancel()
		err = lead(a).Run(ctx, func(context.Context, *election.Term) error { return nil })
		if !errors.Is(err, sqllock.ErrDeadlock) || ctx.Err() != nil {
			t.Errorf("Run: %v; want ErrDeadlock before its ctx ends", err)
		}
		mustRelease(t, lock)
		mustRelease(t, <-waits)
	})
}

// holdFor returns work that takes that long.
func holdFor(d time.Duration) func(context.Context, *sqllock.Lock) error {
	return func(context.Context, *sqllock.Lock) error { time.Sleep(d); return nil }
}

// A reader gets its turn among writers that take the lock again and again, if all use Fair.
func TestFairReaderAmongWriters(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		first := mustTry(t, client(t, db, "first"), "x", locktest.Writer)
		reader := client(t, db, "reader")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			_, err := reader.RWLock("x").AcquireShared(ctx, sqllock.Fair())
			got <- err
		}()
		time.Sleep(time.Second)
		busy, stop := context.WithCancel(t.Context())
		defer stop()
		mustRelease(t, first)
		writers := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c")}
		for _, c := range writers {
			go func() {
				for busy.Err() == nil {
					_ = c.RWLock("x").Do(busy, holdFor(time.Second), sqllock.Fair())
				}
			}()
		}
		if err := <-got; err != nil {
			t.Error("a reader among writers, all of them fair:", err)
		}
	})
}

// An uncontended acquisition of a writer takes one statement more than that of an exclusive lock.
func TestWriterStatements(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		writer := client(t, db, "writer")
		mustRelease(t, mustTry(t, writer, "x", locktest.Writer))
		before := db.Calls(sqllocktest.Any)
		mustRelease(t, mustTry(t, writer, "x", locktest.Writer))
		if n := db.Calls(sqllocktest.Any) - before; n != 3 {
			t.Errorf("%d statements; want 3: to acquire, to check for readers, to release", n)
		}
	})
}

// Callers wait for all kinds of locks. Close ends all waits at once, and so does the caller's ctx.
// Nothing is left behind.
func TestEveryWaitEnds(t *testing.T) {
	for what, closes := range map[string]bool{"closed": true, "cancelled": false} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				other, c := client(t, db, "other"), client(t, db, "c")
				mine := mustTry(t, c, "mine")
				mustTry(t, other, "write", locktest.Writer)
				mustTry(t, other, "alone")
				mustTry(t, other, "read", locktest.Shared)
				mustTry(t, other, "pool", locktest.Permits(2))
				mustTry(t, other, "pool", locktest.Permits(2))
				ctx, cancel := context.WithCancel(mine.Context())
				defer cancel()
				work := doOnce(t.Context(), other, "work", func(context.Context) { time.Sleep(time.Hour) })
				e, err := election.New(other, "lead")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := e.Campaign(t.Context()); err != nil {
					t.Fatal(err)
				}
				ours, _ := election.New(c, "lead")
				acquire := func(name string, opts ...any) func() error {
					return func() error { _, err := locktest.Acquire(ctx, c, name, opts...); return err }
				}
				waits := map[string]func() error{
					"exclusive": acquire("alone"), "reader": acquire("write", locktest.Shared),
					"writer": acquire("read", locktest.Writer), "permit": acquire("pool", locktest.Permits(2)),
					"fair permit": acquire("pool", locktest.Permits(2), sqllock.Fair()),
					"campaign":    func() error { _, err := ours.Campaign(ctx); return err },
					"run": func() error {
						err := ours.Run(ctx, func(context.Context, *election.Term) error { return nil })
						if err == nil { // it was canceled on purpose
							return ctx.Err()
						}
						return err
					},
					"handover": func() error { return ours.HandOver(ctx) },
					"all": func() error {
						_, err := c.AcquireAll(ctx, []string{"alone", "free", "zzz"})
						return err
					},
					"once": func() error {
						_, err := once.Do(ctx, c, "work", func(context.Context, *sqllock.Lock) ([]byte, error) {
							return nil, nil
						})
						return err
					},
				}
				got := make(chan string, len(waits))
				for what, wait := range waits {
					go func() {
						err := wait()
						if closes && !errors.Is(err, sqllock.ErrClosed) ||
							!closes && !errors.Is(err, context.Canceled) {
							t.Errorf("%s: %v", what, err)
						}
						got <- what
					}()
				}
				time.Sleep(10 * time.Second)
				start := time.Now()
				if closes {
					if err := c.Close(t.Context()); err != nil {
						t.Error(err)
					}
				} else {
					cancel()
				}
				for range waits {
					if what := <-got; time.Since(start) > time.Second {
						t.Errorf("%s ended after %s", what, time.Since(start))
					}
				}
				if !closes {
					mustRelease(t, mine)
				}
				if err := other.Close(t.Context()); err != nil {
					t.Error(err)
				}
				<-work
				last := client(t, db, "last")
				if _, err := last.Reap(t.Context()); err != nil {
					t.Error(err)
				}
				noRowLeft(t, db, last)
			})
		})
	}
}
