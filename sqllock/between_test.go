package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// What the kinds of locks are to each other, where they meet under one name or in one process.

// once does the work for a key, and tells what came of it.
func once(ctx context.Context, c *sqllock.Client, key string, work func(ctx context.Context)) <-chan error {
	got := make(chan error, 1)
	go func() {
		_, err := c.Once(ctx, key, func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			work(ctx)
			return nil, nil
		})
		got <- err
	}()
	synctest.Wait()
	return got
}

// To wait for the work for a key is not to wait for the lock of that name, which the caller may hold meanwhile.
func TestOnceUnderTheLockOfItsName(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		working := once(t.Context(), b, "x", func(context.Context) { time.Sleep(time.Minute) })
		err := a.Do(t.Context(), "x", func(ctx context.Context, _ *sqllock.Lock) error {
			_, err := a.Once(ctx, "x", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
			return err
		})
		if err != nil {
			t.Errorf("who waited for another's work: %v", err)
		}
		if err := <-working; err != nil {
			t.Error(err)
		}
		noRowLeft(t, db, a)
	})
}

// Work that is done once, under which work is done once, in a circle: one gives up.
func TestOnceDeadlock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		other := make(chan error, 2)
		inner := func(c *sqllock.Client, key string) func(context.Context) {
			return func(ctx context.Context) {
				time.Sleep(time.Second)
				_, err := c.Once(ctx, key, func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
				other <- err
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		one, two := once(ctx, a, "x", inner(a, "y")), once(ctx, b, "y", inner(b, "x"))
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

// Whichever permit is released, it isn't passed on within the process while another one is first in the queue for permits.
func TestPermitIsNotPassedOverOthers(t *testing.T) {
	for n := range 3 {
		t.Run(fmt.Sprint("permit ", n), func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a"), client(t, db, "b")
				fair, permits := sqllock.Fair(), sqllock.Permits(3)
				locks := make(map[int]*sqllock.Lock)
				for range 3 {
					lock := mustTry(t, a, "pool", fair, permits)
					locks[lock.Slot()] = lock
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

// Who waits for a permit isn't kept from it for ever by a process that passes one on, goroutine to goroutine.
func TestPermitsGoRound(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		for first := mustTry(t, a, "pool", sqllock.Permits(2)); first.Slot() != 0; {
			mustRelease(t, first)
			first = mustTry(t, a, "pool", sqllock.Permits(2))
		}
		busy, stop := context.WithCancel(t.Context())
		for range 2 {
			go func() {
				for busy.Err() == nil {
					_ = a.Do(busy, "pool", holdFor(time.Second), sqllock.Permits(2))
				}
			}()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := b.Acquire(ctx, "pool", sqllock.Permits(2)); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// What the leader waits for is waited for while he leads, as under a lock; and to campaign once more is to wait for himself.
func TestRunHoldsTheLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		e, err := a.Election("lead")
		if err != nil {
			t.Fatal(err)
		}
		most, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		theirs := make(chan error, 1)
		go func() {
			theirs <- b.Do(most, "x", func(ctx context.Context, _ *sqllock.Lock) error {
				time.Sleep(time.Second)
				again, _ := b.Election("lead")
				_, err := again.Campaign(ctx)
				return err
			})
		}()
		synctest.Wait()
		err = e.Run(most, func(ctx context.Context, _ *sqllock.Term) error {
			_, err := e.Campaign(ctx)
			wantErr(t, "campaigning again", err, sqllock.ErrDeadlock)
			_, err = a.Acquire(ctx, "x")
			return err
		})
		if first, second := errors.Is(err, sqllock.ErrDeadlock), errors.Is(<-theirs, sqllock.ErrDeadlock); first == second {
			t.Errorf("Run: %v; want one ErrDeadlock", err)
		}
	})
}

// Readers who come to a name first, at the same time, aren't in each other's way.
func TestFirstReadersAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Delay(sqllocktest.OpRelease, time.Second) // while the first one leaves the sign for readers
		a, b := client(t, db, "a"), client(t, db, "b")
		got := make(chan error, 3)
		for _, c := range []*sqllock.Client{a, a, b} {
			go func() {
				_, err := c.TryAcquire(t.Context(), "x", sqllock.Shared())
				got <- err
			}()
			synctest.Wait()
		}
		for range 3 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		_, err := b.TryAcquire(t.Context(), "x")
		wantErr(t, "a writer", err, sqllock.ErrNotAcquired)
	})
}

// A campaign that would wait for ever, since the caller holds what the leader waits for, ends Run.
func TestRunInADeadlock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lead := func(c *sqllock.Client) *sqllock.Election {
			e, err := c.Election("lead")
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
		err = lead(a).Run(ctx, func(context.Context, *sqllock.Term) error { return nil })
		if !errors.Is(err, sqllock.ErrDeadlock) || ctx.Err() != nil {
			t.Errorf("Run: %v; want ErrDeadlock before its ctx ends", err)
		}
		mustRelease(t, lock)
		mustRelease(t, <-waits)
	})
}

// holdFor is work that takes so long.
func holdFor(d time.Duration) func(context.Context, *sqllock.Lock) error {
	return func(context.Context, *sqllock.Lock) error { time.Sleep(d); return nil }
}

// A reader that stood in the queue of a name without readers isn't left there when the name has some.
func TestFairReaderAmongWriters(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		first := mustTry(t, client(t, db, "first"), "x")
		reader := client(t, db, "reader")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan error, 1)
		go func() {
			_, err := reader.Acquire(ctx, "x", sqllock.Shared(), sqllock.Fair())
			got <- err
		}()
		time.Sleep(time.Second)
		busy, stop := context.WithCancel(t.Context())
		defer stop()
		mustRelease(t, first)
		writers := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c")}
		for _, c := range writers { // they know that the name has readers, and queue up with the writers
			mustRelease(t, mustTry(t, c, "x", sqllock.Shared()))
		}
		for _, c := range writers {
			go func() {
				for busy.Err() == nil {
					_ = c.Do(busy, "x", holdFor(time.Second), sqllock.Fair())
				}
			}()
		}
		if err := <-got; err != nil {
			t.Error("a reader among writers, all of them fair:", err)
		}
	})
}

// Who only writes finds out once that the name has readers.
func TestWriterRemembersReaders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustRelease(t, mustTry(t, client(t, db, "reader"), "x", sqllock.Shared()))
		writer := client(t, db, "writer")
		mustRelease(t, mustTry(t, writer, "x"))
		before := db.Calls(sqllocktest.Any)
		mustRelease(t, mustTry(t, writer, "x"))
		if n := db.Calls(sqllocktest.Any) - before; n != 3 {
			t.Errorf("%d statements; want 3: to acquire, to look for readers, to release", n)
		}
	})
}

// Where all kinds are waited for, Close ends it all at once, and so does the caller's ctx. Nothing is left.
func TestEveryWaitEnds(t *testing.T) {
	for what, closes := range map[string]bool{"closed": true, "cancelled": false} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				other, c := client(t, db, "other"), client(t, db, "c")
				mine := mustTry(t, c, "mine")
				mustTry(t, other, "write")
				mustTry(t, other, "read", sqllock.Shared())
				mustTry(t, other, "pool", sqllock.Permits(2))
				mustTry(t, other, "pool", sqllock.Permits(2))
				ctx, cancel := context.WithCancel(mine.Context())
				defer cancel()
				work := once(t.Context(), other, "work", func(context.Context) { time.Sleep(time.Hour) })
				election, err := other.Election("lead")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := election.Campaign(t.Context()); err != nil {
					t.Fatal(err)
				}
				ours, _ := c.Election("lead")
				acquire := func(name string, opts ...sqllock.Option) func() error {
					return func() error { _, err := c.Acquire(ctx, name, opts...); return err }
				}
				waits := map[string]func() error{
					"exclusive": acquire("write"), "reader": acquire("write", sqllock.Shared()), "writer": acquire("read"),
					"permit": acquire("pool", sqllock.Permits(2)), "fair permit": acquire("pool", sqllock.Permits(2), sqllock.Fair()),
					"campaign": func() error { _, err := ours.Campaign(ctx); return err },
					"run":      func() error { return ours.Run(ctx, func(context.Context, *sqllock.Term) error { return nil }) },
					"handover": func() error { return ours.HandOver(ctx) },
					"all":      func() error { _, err := c.AcquireAll(ctx, []string{"free", "write", "zzz"}); return err },
					"once": func() error {
						_, err := c.Once(ctx, "work", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
						return err
					},
				}
				got := make(chan string, len(waits))
				for what, wait := range waits {
					go func() {
						err := wait()
						if closes && !errors.Is(err, sqllock.ErrClosed) || !closes && !errors.Is(err, context.Canceled) {
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
