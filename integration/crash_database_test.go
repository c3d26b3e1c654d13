package integration

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The database server is killed and restarted several times while processes do guarded work. It is
// restarted at once, so that leases outlive the outage, or after every lease has run out. No two
// jobs overlap, no job that was reported as written is lost, and each process resumes by itself.
func TestDatabaseKilled(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine, servers.Durable())
		prepare(t, server.URL)
		c := startLoad(t, 3, setup{URL: server.URL, TTL: loadTTL, ReapEvery: time.Second}, loadRoutines, loadAccounts)
		c.check.awaitEach(t, 3, c.alive()...)
		for _, outage := range long.Or([]bool{false, true}, []bool{false, true, false}) {
			began := time.Now()
			server.Kill()
			if outage {
				// It isn't certain that a job fails: acquisitions wait until the server is back,
				// and at the moment of the kill each lock may be on its way to the next worker.
				time.Sleep(2 * loadTTL)
			}
			restarted := time.Now()
			server.Restart()
			c.check.awaitEach(t, 3, c.alive()...)
			t.Logf("down for %s; three more jobs of each worker %s after the restart began",
				restarted.Sub(began).Round(time.Millisecond), time.Since(restarted).Round(time.Millisecond))
		}
		c.finish(t)
		target := connect(t, server.URL)
		c.check.prove(t, target.DB)
		wantNoLocks(t, client(t, target, sqllock.Options{}), 2*loadTTL)
	})
}

// The server is frozen: connections stay open, and no statement returns. The holder gives up by its
// own clock, before its lease runs out by the server's. Another process gets the lock when the
// server is back.
func TestDatabaseFrozen(t *testing.T) {
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		holder := client(t, connect(t, server.URL), sqllock.Options{TTL: crashTTL})
		nextHolder := client(t, connect(t, server.URL), sqllock.Options{TTL: crashTTL})
		lock := mustTry(t, holder, "crash")
		mustRelease(t, mustTry(t, nextHolder, "warm")) // opens its lease
		stall := watchOutage(t)
		server.Stop()
		stopped := time.Now()
		leavesFrozen(t, nextHolder, stall)
		select {
		case <-lock.Context().Done():
		case <-time.After(stepTimeout):
			t.Error("the lock's context has not ended")
		}
		// The last heartbeat came before the server was stopped. A stalled machine delays every
		// timer.
		if valid, late := time.Since(stopped), stall(); valid > crashTTL+2*late {
			t.Errorf("the lock's context ended %s after the last possible renewal; "+
				"its TTL is %s, and timers were %s late at most", valid, crashTTL, late)
		}
		if err := context.Cause(lock.Context()); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("the lock's context ended with %v; want ErrLost", err)
		}
		server.Cont()
		if err := lock.Release(t.Context()); !errors.Is(err, sqllock.ErrLost) {
			t.Errorf("Release of a lost lock: %v; want ErrLost", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
		defer cancel()
		next, err := nextHolder.Acquire(ctx, "crash")
		if err != nil {
			t.Fatal(err)
		}
		if next.Fence() <= lock.Fence() {
			t.Errorf("the next holder's fence is %d, not greater than %d", next.Fence(), lock.Fence())
		}
	})
}

// leavesFrozen checks that a caller leaves soon after its ctx has ended, although the statement
// that it runs itself gets no reply.
func leavesFrozen(t *testing.T, c *sqllock.Client, stall func() time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := c.TryAcquire(ctx, "leaves")
	ended, _ := ctx.Deadline()
	const grace = 50*time.Millisecond + 200*time.Millisecond // as promised, and for the driver to break off
	if late := time.Since(ended); late > grace+2*stall() {
		t.Errorf("TryAcquire returned %s after its ctx had ended; want %s at most, with timers up to %s late",
			late, grace, stall())
	}
	if !errors.Is(err, sqllock.ErrNotAcquired) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("TryAcquire of a frozen database: %v; want ErrNotAcquired and DeadlineExceeded", err)
	}
}

// watchOutage measures how late timers are. The function that it returns reports the greatest delay
// since watchOutage was called. A goroutine that waits for a timer may be late by that much, and a
// second goroutine that waits for the first may be late by as much again.
func watchOutage(t *testing.T) (most func() time.Duration) {
	const tick = 5 * time.Millisecond
	var began, latest atomic.Int64 // since start
	start := time.Now()
	go func() {
		for t.Context().Err() == nil {
			began.Store(int64(time.Since(start)))
			time.Sleep(tick)
			latest.Store(max(latest.Load(), int64(time.Since(start)-tick)-began.Load()))
		}
	}()
	return func() time.Duration {
		underWay := int64(time.Since(start)-tick) - began.Load() // the caller may run before a tick that is late
		return time.Duration(max(latest.Load(), underWay))
	}
}
