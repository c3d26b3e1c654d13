package integration

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The database server is killed and restarted again and again while processes do guarded work, at once, so that leases
// outlive it, and after they have run out: nobody's work overlaps, nothing is lost of what was reported as written, and everybody goes on afterwards by himself.
func TestDatabaseKilled(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine, servers.Durable())
		prepare(t, server.URL)
		c := startLoad(t, 3, setup{URL: server.URL, TTL: loadTTL, ReapEvery: time.Second}, loadRoutines, loadAccounts)
		c.book.awaitEach(t, 3, c.alive()...)
		for _, outage := range []bool{false, true, false} {
			began := time.Now()
			server.Kill()
			if outage {
				c.book.awaitTrouble(t)
			}
			restarted := time.Now()
			server.Restart()
			c.book.awaitEach(t, 3, c.alive()...)
			t.Logf("down for %s; three more jobs of each worker %s after the restart began",
				restarted.Sub(began).Round(time.Millisecond), time.Since(restarted).Round(time.Millisecond))
		}
		c.finish(t)
		target := connect(t, server.URL)
		c.book.prove(t, target.DB)
		nothingLeft(t, client(t, target, sqllock.Options{}), 2*loadTTL)
	})
}

// awaitTrouble waits until a job has failed since.
func (b *book) awaitTrouble(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	before := b.troubles()
	b.mu.Unlock()
	b.await(t, "a job that fails", func() bool { return b.troubles() > before })
}

func (b *book) troubles() int {
	return b.counts[refused] + b.counts[failed] + b.counts[late] + b.counts[unsure]
}

// The server is frozen: connections stay open, and nothing answers. The holder gives up by its own clock, before its
// lease runs out by the server's, and another gets the lock when the server is back.
func TestDatabaseFrozen(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		holder := client(t, connect(t, server.URL), sqllock.Options{TTL: crashTTL})
		heir := client(t, connect(t, server.URL), sqllock.Options{TTL: crashTTL})
		lock := mustTry(t, holder, "crash")
		stall := watchStalls(t)
		server.Stop()
		stopped := time.Now()
		select {
		case <-lock.Context().Done():
		case <-time.After(patience):
			t.Error("the holder still trusts its lock")
		}
		// The last heartbeat came before the server was stopped. A machine that stands still delays every timer.
		if trusted, late := time.Since(stopped), stall(); trusted > crashTTL+late {
			t.Errorf("the holder trusted its lock for %s after it could be renewed the last time; its TTL is %s, and timers were %s late at most",
				trusted, crashTTL, late)
		}
		if err := context.Cause(lock.Context()); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("its context ended with %v; want ErrLost", err)
		}
		server.Cont()
		if err := lock.Release(t.Context()); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("Release of a lost lock: %v; want ErrLost", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		next, err := heir.Acquire(ctx, "crash")
		if err != nil {
			t.Fatal(err)
		}
		if next.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
		}
	})
}

// watchStalls finds out by how much timers are late at most: what it answers tells that of the time since.
func watchStalls(t *testing.T) (most func() time.Duration) {
	var latest atomic.Int64
	go func() {
		const tick = 5 * time.Millisecond
		for t.Context().Err() == nil {
			began := time.Now()
			time.Sleep(tick)
			latest.Store(max(latest.Load(), int64(time.Since(began)-tick)))
		}
	}()
	return func() time.Duration { return time.Duration(latest.Load()) }
}
