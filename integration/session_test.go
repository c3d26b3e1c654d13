package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// keepAlive is short, so that what is noticed by it is noticed soon.
const keepAlive = 3 * time.Second

func sessionClient(t testing.TB, target *open.Database, holder string) *sqllock.Client {
	t.Helper()
	return client(t, target, sqllock.Options{Holder: holder, KeepAlive: keepAlive})
}

func mustSession(t testing.TB, c *sqllock.Client, name string) *sqllock.Lock {
	t.Helper()
	return mustTry(t, c, name, sqllock.Session())
}

// mustGetSession waits for a lock that must come.
func mustGetSession(t testing.TB, c *sqllock.Client, name string) *sqllock.Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lock, err := c.Acquire(ctx, name, sqllock.Session())
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// mustEnd waits until the lock's context has ended because the lock was lost.
func mustEnd(t testing.TB, lock *sqllock.Lock, within time.Duration) {
	t.Helper()
	select {
	case <-lock.Context().Done():
	case <-time.After(within):
		t.Fatalf("lock %q is trusted after %s", lock.Name(), within)
	}
	if cause := context.Cause(lock.Context()); !errors.Is(cause, sqllock.ErrLost) {
		t.Errorf("the context of lock %q ended with %v; want ErrLost", lock.Name(), cause)
	}
}

// The holder is killed: its session ends with it, and who waits has the lock at the next poll.
func TestSessionHolderKilled(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		heir := start(t, setup{URL: url, Holder: "heir", ReapEvery: -1}, nil)
		var took []time.Duration
		for i := range int(lasting(5, 21)) {
			holder := start(t, setup{URL: url, Holder: "holder", ReapEvery: -1}, nil)
			lock := lockArgs{Name: fmt.Sprint("crash/", i), Session: true}
			must[acquired](holder, "acquire", lock)
			waiting, err := heir.send("acquire", lock)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond) // until it polls at its slowest
			killed := time.Now()
			holder.kill()
			if _, err := hear[acquired](heir, "acquire", waiting, patience); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(killed))
			must[any](heir, "release", lock)
		}
		slices.Sort(took)
		t.Logf("from kill -9 to the next holder: median %s, most %s, of %d",
			took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
		if took[len(took)/2] > keepAlive {
			t.Error("that isn't at once")
		}
	})
}

// The holder is frozen: the server ends its session, which is silent for too long, and another gets the lock. When it is
// resumed it learns that it has lost it.
func TestSessionHolderFrozen(t *testing.T) {
	eachEndingSilence(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		frozen := make(chan struct{}, 1)
		holder := start(t, setup{URL: url, Holder: "holder", KeepAlive: time.Second, ReapEvery: -1}, func(m message) {
			if m.Event == "frozen" {
				frozen <- struct{}{}
			}
		})
		lock := lockArgs{Name: "crash", Session: true, Limit: patience}
		must[acquired](holder, "acquire", lock)
		thawed, err := holder.send("freeze", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		<-frozen
		mustRelease(t, mustGetSession(t, sessionClient(t, connect(t, url), "heir"), "crash"))
		holder.cont()
		if _, err := hear[any](holder, "freeze", thawed, patience); err != nil {
			t.Fatal(err)
		}
		if c := must[ended](holder, "context", lock); !c.Over || !errors.Is(c.Cause, sqllock.ErrLost) {
			t.Errorf("context of the resumed holder: %+v; want ended by ErrLost", c)
		}
		if _, err := ask[any](holder, "release", lock, patience); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("release by the resumed holder: %v; want ErrLost", err)
		}
	})
}

// Between the holder and the server nothing gets through any more, and nobody is told: both give up by themselves, the
// holder first.
func TestSessionCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		p, through := newProxy(t, url)
		holder := sessionClient(t, connect(t, through), "holder")
		lock, other := mustSession(t, holder, "crash"), mustSession(t, holder, "other")
		stall := watchStalls(t)
		p.blackhole()
		cut := time.Now()
		mustEnd(t, lock, patience)
		mustEnd(t, other, time.Second)
		if trusted, late := time.Since(cut), stall(); trusted > keepAlive+late {
			t.Errorf("the holder trusted its lock for %s after it was cut off; KeepAlive is %s, and timers were %s late at most",
				trusted, keepAlive, late)
		}
		if slices.Contains(serverEngines, s.Engine) { // SQL Server goes by TCP's keep-alive, which the proxy answers
			mustRelease(t, mustGetSession(t, sessionClient(t, connect(t, url), "heir"), "crash"))
		}
	})
}

// The server is killed and restarted: the locks are lost, and the next one is taken on a new connection.
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

// The application has taken every connection of its pool, even if there is but one: session locks have their own.
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
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		lock, err := c.Acquire(ctx, "job", sqllock.Session())
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, lock)
	})
}

// A thousand session locks of a process are on four connections at most.
func TestSessionThousand(t *testing.T) {
	eachServer(t, func(t *testing.T, s *servers.Server) {
		p, through := newProxy(t, database(t, s))
		target := connect(t, through)
		c := sessionClient(t, target, "holder")
		target.DB.SetMaxIdleConns(0)
		var locks []*sqllock.Lock
		for i := range manyLocks {
			locks = append(locks, mustSession(t, c, fmt.Sprint("lock/", i)))
		}
		if n := p.open(); n > 4 {
			t.Errorf("%d connections", n)
		} else {
			t.Logf("%d locks on %d connections", len(locks), n)
		}
		for _, lock := range locks {
			mustRelease(t, lock)
		}
	})
}

// Callers that leave at random moments leave nothing that could take the lock later.
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
					lock, err := c.Acquire(ctx, name, sqllock.Session())
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
			await(t, "session lock "+name, patience, func() bool {
				lock, err := other.TryAcquire(t.Context(), name, sqllock.Session())
				if err == nil {
					mustRelease(t, lock)
				}
				return err == nil
			})
		}
	})
}
