package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// keepAlive is short, so that lost connections are noticed soon.
const keepAlive = 3 * time.Second

func sessionClient(t testing.TB, target *open.Database, holder string) *sqllock.Client {
	t.Helper()
	return client(t, target, sqllock.Options{Holder: holder, KeepAlive: keepAlive})
}

func mustSession(t testing.TB, c *sqllock.Client, name string) *sqllock.SessionLock {
	t.Helper()
	lock, err := c.Session(name).TryAcquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// mustGetSession waits for a lock that must become free.
func mustGetSession(t testing.TB, c *sqllock.Client, name string) *sqllock.SessionLock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	lock, err := c.Session(name).Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// mustEnd waits until the lock's context has ended because the lock was lost.
func mustEnd(t testing.TB, lock locktest.Held, within time.Duration) {
	t.Helper()
	select {
	case <-lock.Context().Done():
	case <-time.After(within):
		t.Fatalf("lock %q is still relied on after %s", lock.Name(), within)
	}
	if cause := context.Cause(lock.Context()); !errors.Is(cause, sqllock.ErrLost) {
		t.Errorf("the context of lock %q ended with %v; want ErrLost", lock.Name(), cause)
	}
}

// TestSessionHolderKilled kills the holder: its session ends with it, and a waiter has the lock at
// its next poll.
func TestSessionHolderKilled(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		nextHolder := start(t, setup{URL: url, Holder: "next holder", ReapEvery: -1}, nil)
		var took []time.Duration
		for i := range long.Or(5, 21) {
			holder := start(t, setup{URL: url, Holder: "holder", ReapEvery: -1}, nil)
			lock := lockArgs{Name: fmt.Sprint("crash/", i), Session: true}
			must[acquired](holder, "acquire", lock)
			waiting, err := nextHolder.send("acquire", lock)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond) // until it polls at its slowest
			killed := time.Now()
			holder.kill()
			if _, err := receive[acquired](nextHolder, "acquire", waiting, stepTimeout); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(killed))
			must[any](nextHolder, "release", lock)
		}
		slices.Sort(took)
		t.Logf("from kill -9 to the next holder: median %s, most %s, of %d",
			took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
		if took[len(took)/2] > keepAlive {
			t.Errorf("the next holder got the lock after a median of %s; want %s at most", took[len(took)/2], keepAlive)
		}
	})
}

// TestSessionHolderFrozen freezes the holder: the server ends its session, which is silent for too
// long, and another client gets the lock. When the holder is resumed, it learns that it has lost
// the lock.
func TestSessionHolderFrozen(t *testing.T) {
	eachEndingSilence(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		frozen := make(chan struct{}, 1)
		holder := start(t, setup{URL: url, Holder: "holder", KeepAlive: time.Second, ReapEvery: -1}, func(m message) {
			if m.Event == "frozen" {
				frozen <- struct{}{}
			}
		})
		lock := lockArgs{Name: "crash", Session: true, Limit: stepTimeout}
		must[acquired](holder, "acquire", lock)
		thawed, err := holder.send("freeze", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-frozen
		mustRelease(t, mustGetSession(t, sessionClient(t, connect(t, url), "next holder"), "crash"))
		holder.cont()
		if _, err := receive[any](holder, "freeze", thawed, stepTimeout); err != nil {
			t.Fatal(err)
		}
		if c := must[ended](holder, "context", lock); !c.Over || !errors.Is(c.Cause, sqllock.ErrLost) {
			t.Errorf("context of the resumed holder: %+v; want ended by ErrLost", c)
		}
		if _, err := ask[any](holder, "release", lock, stepTimeout); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("release by the resumed holder: %v; want ErrLost", err)
		}
	})
}

// TestSessionCutOff drops everything between the holder and the server without closing the
// connection. Both give up by themselves, the holder first.
func TestSessionCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		p, through := newProxy(t, url)
		holder := sessionClient(t, connect(t, through), "holder")
		lock, other := mustSession(t, holder, "crash"), mustSession(t, holder, "other")
		stall := watchOutage(t)
		p.blackhole()
		cut := time.Now()
		mustEnd(t, lock, stepTimeout)
		mustEnd(t, other, time.Second)
		if relied, late := time.Since(cut), stall(); relied > keepAlive+2*late {
			t.Errorf("the holder relied on its lock for %s after the cut, with a KeepAlive of %s and timers %s late",
				relied, keepAlive, late)
		}
		// SQL Server relies on TCP's keep-alive, to which the proxy replies.
		if slices.Contains(serverEngines, s.Engine) {
			mustRelease(t, mustGetSession(t, sessionClient(t, connect(t, url), "next holder"), "crash"))
		}
	})
}

// TestSessionServerKilled kills and restarts the server: the locks are lost, and the next lock is
// taken on a new connection.
func TestSessionServerKilled(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		c := sessionClient(t, connect(t, server.URL), "holder")
		lock := mustSession(t, c, "crash")
		server.Kill()
		mustEnd(t, lock, keepAlive+time.Second)
		server.Restart()
		if err := lock.Release(t.Context()); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("Release: %v; want ErrLost", err)
		}
		mustRelease(t, mustGetSession(t, c, "crash"))
	})
}

// TestSessionPoolExhausted lets the application use every connection of its pool, which has only
// one. Session locks have connections of their own.
func TestSessionPoolExhausted(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := s.Database(t) // without tables
		target := connect(t, url)
		target.DB.SetMaxOpenConns(1)
		c := client(t, target, sqllock.Options{WithoutTables: true, KeepAlive: keepAlive})
		taken, err := target.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
		defer cancel()
		lock, err := c.Session("job").Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, lock)
	})
}

// TestSessionThousand checks that a thousand session locks of a process use four connections at
// most.
func TestSessionThousand(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		p, through := newProxy(t, database(t, s))
		target := connect(t, through)
		c := sessionClient(t, target, "holder")
		target.DB.SetMaxIdleConns(0)
		var locks []*sqllock.SessionLock
		for i := range manyLocks {
			locks = append(locks, mustSession(t, c, fmt.Sprint("lock/", i)))
		}
		if n := p.open(); n > 4 {
			t.Errorf("%d locks use %d connections; want 4 at most", len(locks), n)
		} else {
			t.Logf("%d locks on %d connections", len(locks), n)
		}
		for _, lock := range locks {
			mustRelease(t, lock)
		}
	})
}

// TestSessionCancelled checks that callers that leave at random moments leave nothing behind that
// could take the lock later.
func TestSessionCancelled(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		c, other := sessionClient(t, target, "one"), sessionClient(t, target, "other")
		held := mustSession(t, other, "busy")
		var group sync.WaitGroup
		for i := range 200 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
				defer cancel()
				for _, name := range []string{"busy", "free"} {
					lock, err := c.Session(name).Acquire(ctx)
					switch {
					case err == nil:
						mustRelease(t, lock)
					case !errors.Is(err, sqllock.ErrNotAcquired) || !errors.Is(err, context.DeadlineExceeded):
						t.Errorf("Acquire: %v", err)
					}
				}
			})
		}
		group.Wait()
		mustRelease(t, held)
		for _, name := range []string{"busy", "free"} {
			await(t, "session lock "+name, stepTimeout, func() bool {
				lock, err := other.Session(name).TryAcquire(t.Context())
				if err == nil {
					mustRelease(t, lock)
				}
				return err == nil
			})
		}
	})
}
