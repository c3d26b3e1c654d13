package sqllock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// waits are the calls that wait until their ctx ends, each with what it waits for.
var waits = map[string]struct {
	hold func(ctx context.Context, c *sqllock.Client) (release func() error, err error)
	wait func(ctx context.Context, c *sqllock.Client) (release func() error, err error)
}{
	"exclusive":      {acquire(), acquire()},
	"fair":           {acquire(), acquire(sqllock.Fair())},
	"reader":         {acquire(locktest.Writer), acquire(locktest.Shared)},
	"writer":         {acquire(locktest.Shared), acquire(locktest.Writer)},
	"permit":         {acquire(locktest.Permits(1)), acquire(locktest.Permits(1))},
	"barred":         {barred, acquire()},
	"session":        {acquire(locktest.Session), acquire(locktest.Session)},
	"while held":     {acquire(), acquireHolding},
	"several":        {acquire(), acquireSeveral},
	"election":       {campaign, campaign},
	"once":           {workOnce, workOnce},
	"first in queue": {acquire(), acquireBehind},
}

const contended = "contended"

func acquire(opts ...any) func(context.Context, *sqllock.Client) (func() error, error) {
	return func(ctx context.Context, c *sqllock.Client) (func() error, error) {
		lock, err := locktest.Take(ctx, c, contended, opts...)
		return releaseOf(lock), err
	}
}

func releaseOf(lock locktest.Held) func() error {
	return func() error { return lock.Release(context.Background()) }
}

func barred(ctx context.Context, c *sqllock.Client) (func() error, error) {
	release, err := acquire(sqllock.HoldAtLeast(20*time.Millisecond))(ctx, c)
	if err == nil {
		err = release()
	}
	return func() error { return nil }, err
}

func acquireHolding(ctx context.Context, c *sqllock.Client) (func() error, error) {
	other, err := c.Acquire(context.WithoutCancel(ctx), "held meanwhile")
	if err != nil {
		return nil, err
	}
	defer other.Release(context.Background()) //nolint:errcheck // only another error counts
	held, stop := context.WithCancelCause(other.Context())
	defer context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })()
	lock, err := c.Acquire(held, contended)
	return releaseOf(lock), err
}

func acquireSeveral(ctx context.Context, c *sqllock.Client) (func() error, error) {
	set, err := c.AcquireAll(ctx, []string{"a", contended, "z"})
	return func() error { return set.Release(context.Background()) }, err
}

// acquireBehind waits in the local queue.
func acquireBehind(ctx context.Context, c *sqllock.Client) (func() error, error) {
	first, cancel := context.WithCancel(context.WithoutCancel(ctx))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if lock, err := c.Acquire(first, contended); err == nil {
			_ = lock.Release(context.Background())
		}
	}()
	lock, err := c.Acquire(ctx, contended)
	cancel()
	<-gone
	return releaseOf(lock), err
}

func campaign(ctx context.Context, c *sqllock.Client) (func() error, error) {
	e, err := election.New(c, contended)
	if err != nil {
		return nil, err
	}
	term, err := e.Campaign(ctx)
	return func() error { return term.Resign(context.Background()) }, err
}

func workOnce(ctx context.Context, c *sqllock.Client) (func() error, error) {
	began, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := once.Do(ctx, c, contended, func(context.Context, *sqllock.Lock) ([]byte, error) {
			close(began)
			<-end
			return nil, errors.New("do it again")
		})
		done <- err
	}()
	select {
	case <-began:
		return func() error { close(end); <-done; return nil }, nil
	case err := <-done:
		return nil, err
	}
}

// Whatever is waited for, and whenever ctx ends, even at the moment when the database's last answer
// arrives: the error says that ctx ended and that nothing was acquired.
func TestWaitsSayThatCtxEnded(t *testing.T) {
	for name, w := range waits {
		t.Run(name, func(t *testing.T) {
			for _, release := range []bool{false, true} {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					db.Delay(sqllocktest.Any, time.Millisecond)
					holder, waiter := client(t, db, "holder"), client(t, db, "waiter")
					for range 100 {
						free, err := w.hold(t.Context(), holder)
						if err != nil {
							t.Fatal(err)
						}
						// The waits are whole milliseconds, as the answers' times are, so that both
						// can coincide.
						after := time.Duration(rand.N(1+rand.N(80))) * time.Millisecond
						ctx, cancel := context.WithCancelCause(t.Context())
						time.AfterFunc(after, func() { cancel(errors.New("why")) })
						if release {
							time.AfterFunc(time.Duration(rand.N(80))*time.Millisecond, func() { _ = free() })
						}
						got, err := w.wait(ctx, waiter)
						switch {
						case err == nil:
							if err := got(); err != nil {
								t.Error(err)
							}
						case !errors.Is(err, context.Canceled) || !errors.Is(err, sqllock.ErrNotAcquired):
							t.Errorf("ctx ended after %s: %v", after, err)
						}
						cancel(nil)
						if !release {
							if err := free(); err != nil {
								t.Fatal(err)
							}
						}
						time.Sleep(time.Second)
					}
				})
			}
		})
	}
}

// answering calls a function just when the database has answered.
type answering struct {
	*sqllocktest.Dialect
	then func()
}

func (d answering) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	defer d.then()
	return d.Dialect.Acquire(ctx, requests)
}

func (d answering) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	defer d.then()
	return d.Dialect.Get(ctx, keys)
}

func (d answering) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	defer d.then()
	return d.Dialect.List(ctx, after, heldOnly, limit)
}

// The caller's ctx ends while the database's answer is on its way to the caller.
func TestWaitsSayThatCtxEndedBesideAnAnswer(t *testing.T) {
	for _, name := range []string{"exclusive", "fair", "reader", "writer", "permit", "several", "election"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			answers, cancel := 0, func() {}
			db := answering{sqllocktest.New(), func() {
				mu.Lock()
				defer mu.Unlock()
				if answers--; answers == 0 {
					go cancel()
				}
			}}
			if _, err := waits[name].hold(t.Context(), client(t, db, "holder")); err != nil {
				t.Fatal(err)
			}
			waiter := client(t, db, "waiter", pollOnly)
			for range 1000 {
				ctx, end := context.WithCancel(t.Context())
				mu.Lock()
				answers, cancel = 1, end
				mu.Unlock()
				_, err := waits[name].wait(ctx, waiter)
				if !errors.Is(err, context.Canceled) || !errors.Is(err, sqllock.ErrNotAcquired) {
					t.Fatalf("ctx ended: %v", err)
				}
			}
		})
	}
}

// A lock that is released while Close runs was released by one of the two, and never lost.
func TestReleaseBesideClose(t *testing.T) {
	for name, hold := range map[string]func(context.Context, *sqllock.Client) (func() error, error){
		"exclusive":  acquire(),
		"shared":     acquire(locktest.Shared),
		"permit":     acquire(locktest.Permits(30)),
		"lock delay": acquire(sqllock.LockDelay(time.Hour)),
		"session":    acquire(locktest.Session),
		"several":    acquireSeveral,
		"election":   campaign,
		"do": func(ctx context.Context, c *sqllock.Client) (func() error, error) {
			began, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				done <- c.Do(ctx, contended, func(context.Context, *sqllock.Lock) error {
					close(began)
					<-end
					return nil
				})
			}()
			<-began
			return func() error { close(end); return <-done }, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					db.Delay(sqllocktest.Any, time.Millisecond)
					c := client(t, db, "a")
					release, err := hold(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					released := make(chan error, 1)
					time.AfterFunc(time.Duration(rand.N(5))*time.Millisecond, func() { released <- release() })
					time.Sleep(time.Duration(rand.N(5)) * time.Millisecond)
					if err := c.Close(t.Context()); err != nil {
						t.Error(err)
					}
					err = <-released
					if err != nil && (!errors.Is(err, sqllock.ErrClosed) || errors.Is(err, sqllock.ErrLost)) {
						t.Errorf("Release: %v; want nil or ErrClosed", err)
					}
				})
			}
		})
	}
}

// Every call on a Client while Close runs is carried out, or refused with ErrClosed.
func TestCallsBesideClose(t *testing.T) {
	for name, call := range map[string]func(context.Context, *sqllock.Client) error{
		"Acquire": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.Acquire(ctx, "new")
			return err
		},
		"TryAcquire": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.TryAcquire(ctx, "new")
			return err
		},
		"AcquireAll": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.AcquireAll(ctx, []string{"x", "y"})
			return err
		},
		"wait": func(ctx context.Context, c *sqllock.Client) error { _, err := c.Acquire(ctx, "held"); return err },
		"wait to read": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.RWLock("written").AcquireShared(ctx)
			return err
		},
		"Session": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.Session("new").Acquire(ctx)
			return err
		},
		"once.Do": func(ctx context.Context, c *sqllock.Client) error {
			_, err := once.Do(ctx, c, "key", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
			return err
		},
		"Inspect": func(ctx context.Context, c *sqllock.Client) error { _, err := c.Inspect(ctx, "held"); return err },
		"Holders": func(ctx context.Context, c *sqllock.Client) error { _, err := c.Holders(ctx, "held"); return err },
		"Queue":   func(ctx context.Context, c *sqllock.Client) error { _, err := c.Queue(ctx, "held"); return err },
		"Reap":    func(ctx context.Context, c *sqllock.Client) error { _, err := c.Reap(ctx); return err },
		"Break": func(ctx context.Context, c *sqllock.Client) error {
			_, err := c.Break(ctx, "unheard of", 1)
			return err
		},
		"Locks": func(ctx context.Context, c *sqllock.Client) error {
			for _, err := range c.Locks(ctx) {
				return err
			}
			return nil
		},
		"Leader": func(ctx context.Context, c *sqllock.Client) error {
			e, err := election.New(c, "free")
			if err == nil {
				_, _, err = e.Leader(ctx)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
					other := client(t, db, "other")
					mustTry(t, other, "held")
					mustTry(t, other, "written", locktest.Writer)
					db.Delay(sqllocktest.Any, time.Millisecond)
					c := client(t, db, "a")
					answered := make(chan error, 1)
					after := time.Duration(rand.N(6)) * time.Millisecond
					time.AfterFunc(after, func() { answered <- call(t.Context(), c) })
					time.Sleep(time.Duration(rand.N(6)) * time.Millisecond)
					if err := c.Close(t.Context()); err != nil {
						t.Error(err)
					}
					err := <-answered
					if err != nil && !errors.Is(err, sqllock.ErrClosed) &&
						!(name == "Break" && errors.Is(err, sqllock.ErrNotHeld)) {
						t.Errorf("%v; want nil or ErrClosed", err)
					}
				})
			}
		})
	}
}
