package sqllock_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Everything that is held or waited for is counted under its kind, as long as it is.
func TestStatsHeldAndWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		ctx, cancel := context.WithCancel(t.Context())
		set, err := c.AcquireAll(ctx, []string{"a", "b"})
		wantErr(t, "AcquireAll", err, nil)
		boss, err := election.New(c, "boss")
		wantErr(t, "election.New", err, nil)
		_, err = boss.Campaign(ctx)
		wantErr(t, "Campaign", err, nil)
		mustTake(t, c, "book", locktest.Shared)
		mustTake(t, c, "permit", locktest.Permits(1))
		mustTake(t, c, "session", locktest.Session)
		for range 2 {
			go func() { _, _ = c.Acquire(ctx, "a") }()
		}
		go func() { _, _ = c.RWLock("book").Acquire(ctx) }()
		go func() { _, _ = c.Semaphore("permit", 1).Acquire(ctx) }()
		go func() { _, _ = c.Session("session").Acquire(ctx) }()
		go func() { _, _ = boss.Campaign(ctx) }()
		time.Sleep(time.Second)

		held := map[sqllock.Kind]int{
			sqllock.KindLock: 2, sqllock.KindElection: 1, sqllock.KindRWLock: 2, sqllock.KindSemaphore: 1,
			sqllock.KindSession: 1,
		} // the writer has raised its flag, and waits for the reader
		waiting := map[sqllock.Kind]int{
			sqllock.KindLock: 2, sqllock.KindElection: 1, sqllock.KindRWLock: 1, sqllock.KindSemaphore: 1,
			sqllock.KindSession: 1,
		}
		s := c.Stats()
		if !maps.Equal(s.Held, held) || !maps.Equal(s.Waiting, waiting) || s.Leases != 2 {
			t.Errorf("held %v, waiting %v under %d leases; want %v, %v under 2",
				s.Held, s.Waiting, s.Leases, held, waiting)
		}
		cancel()
		synctest.Wait()
		wantErr(t, "Release", set.Release(t.Context()), nil)
		if s := c.Stats(); len(s.Waiting) != 0 || s.Held[sqllock.KindLock] != 0 || s.Acquired < 6 {
			t.Errorf("afterwards: %+v", s)
		}
		wantErr(t, "Close", c.Close(t.Context()), nil)
		if s := c.Stats(); len(s.Held) != 0 || s.Leases != 0 || s.Lost != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
}

// The margin says how near an outage came to losing the locks, also a while after the outage.
func TestStatsMargin(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a", func(o *sqllock.Options) { o.TTL = 10 * time.Second })
		if s := c.Stats(); s.LeaseTTL != 0 || s.LeaseMargin != 0 || !s.LastHeartbeat.IsZero() {
			t.Errorf("before the first lease: %+v", s)
		}
		lock := mustTry(t, c, "job")
		mustTry(t, c, "other", sqllock.WithTTL(time.Hour))
		time.Sleep(time.Minute)
		s := c.Stats()
		if s.LeaseTTL != 10*time.Second || s.LeaseMargin < 5*time.Second || s.LeaseMargin > 6*time.Second {
			t.Errorf("the least margin is %s of %s; want two thirds of 10s, less a second", s.LeaseMargin, s.LeaseTTL)
		}
		if age := time.Since(s.LastHeartbeat); s.Heartbeats < 15 || s.HeartbeatFailures != 0 || age > 4*time.Second {
			t.Errorf("%d heartbeats, %d failed, the last one %s ago", s.Heartbeats, s.HeartbeatFailures, age)
		}

		db.Outage(true)
		time.Sleep(7 * time.Second)
		if s := c.Stats(); s.LeaseMargin > 2*time.Second || s.HeartbeatFailures == 0 {
			t.Errorf("in an outage: %s left, %d failures", s.LeaseMargin, s.HeartbeatFailures)
		}
		db.Outage(false)
		time.Sleep(time.Minute)
		wantErr(t, "after the outage", context.Cause(lock.Context()), nil)
		if s := c.Stats(); s.LeaseMargin > 2*time.Second || s.LeaseTTL != 10*time.Second {
			t.Errorf("a minute after the outage the least margin is %s of %s", s.LeaseMargin, s.LeaseTTL)
		}
		time.Sleep(2 * time.Minute)
		if s := c.Stats(); s.LeaseMargin < 5*time.Second {
			t.Errorf("three minutes after the outage the least margin is %s", s.LeaseMargin)
		}
	})
}

// A lost lock counts once, whichever way the process found out.
func TestStatsLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		lost, ignored := mustTry(t, c, "lost"), mustTry(t, c, "ignored")
		db.Outage(true)
		time.Sleep(sqllock.DefaultTTL)
		db.Outage(false)
		wantErr(t, "Guard", lost.Guard(t.Context(), nil), sqllock.ErrLost)
		wantErr(t, "Release", lost.Release(t.Context()), sqllock.ErrLost)
		wantErr(t, "ignored", context.Cause(ignored.Context()), sqllock.ErrLost)
		s := c.Stats()
		if s.Lost != 2 || s.GuardsRefused != 1 || s.Acquired != 2 || s.LeaseMargin != 0 || s.LeaseTTL == 0 {
			t.Errorf("two locks were lost: %+v", s)
		}

		other := client(t, db, "b")
		for _, name := range []string{"guarded", "released"} {
			broken := mustTry(t, c, name)
			_, err := other.Break(t.Context(), name, broken.Fence())
			wantErr(t, "Break", err, nil)
			if name == "guarded" {
				wantErr(t, "Guard", broken.Guard(t.Context(), nil), sqllock.ErrLost)
			}
			wantErr(t, "Release", broken.Release(t.Context()), sqllock.ErrLost)
		}
		if s := c.Stats(); s.Lost != 4 || s.GuardsRefused != 2 {
			t.Errorf("two locks were broken after two were lost: %+v", s)
		}
		if s := other.Stats(); s.Breaks != 2 || s.Lost != 0 {
			t.Errorf("the Client that broke them: %+v", s)
		}
	})
}

func TestStatsDeadlocks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		lock := mustTry(t, c, "job")
		_, err := c.Acquire(lock.Context(), "job")
		wantErr(t, "again", err, sqllock.ErrDeadlock)
		one, other := nested(t, c, time.Second, "x", "y"), nested(t, c, 2*time.Second, "y", "x")
		wantErr(t, "a circle", errors.Join(<-one, <-other), sqllock.ErrDeadlock)
		if s := c.Stats(); s.Deadlocks != 2 {
			t.Errorf("%d deadlocks; want 2", s.Deadlocks)
		}
	})
}

// Stats counts what acquisitions and the reaper remove of dead processes.
func TestStatsOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c, dead := client(t, db, "a"), client(t, db, "dead")
		mustTry(t, dead, "x")
		mustTry(t, dead, "y")
		db.Advance(sqllock.DefaultTTL + time.Second)
		mustTry(t, c, "x")
		did, err := c.Reap(t.Context())
		wantErr(t, "Reap", err, nil)
		if s := c.Stats(); s.Freed != 1 || s.Reaped != did || did.Locks != 1 {
			t.Errorf("one lock freed and one reaped: %+v", s)
		}
	})
}

// A Client that has had an answer lately says so without asking; otherwise it asks.
func TestHealthy(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		asks := func(what string, want int, wanted error) {
			t.Helper()
			synctest.Wait() // until what was due just now, such as a heartbeat, has been done
			before := db.Calls(sqllocktest.Any)
			wantErr(t, what, c.Healthy(t.Context()), wanted)
			if asked := db.Calls(sqllocktest.Any) - before; asked != want {
				t.Errorf("%s: Healthy called the database %d times; want %d", what, asked, want)
			}
		}
		asks("just made", 0, nil)
		time.Sleep(time.Hour)
		asks("after an hour", 1, nil)
		asks("at once after that", 0, nil)
		time.Sleep(time.Hour)
		mustRelease(t, mustTry(t, c, "job"))
		asks("after an acquisition", 0, nil)
		mustTry(t, c, "job")
		time.Sleep(time.Hour)
		asks("while a lock is held", 0, nil)

		db.Outage(true)
		time.Sleep(sqllock.DefaultTTL)
		err := c.Healthy(t.Context())
		if e, ok := errors.AsType[*sqllocktest.Error](err); !ok || e.Class != dialect.ClassTransient {
			t.Errorf("in an outage: %v", err)
		}
		db.Outage(false)
		asks("after the outage", 1, nil)

		time.Sleep(time.Hour)
		db.FailNext(sqllocktest.OpRenewLeases, 1, dialect.ClassReadOnly)
		asks("in a failover", 2, nil)
		time.Sleep(time.Hour)
		db.FailNext(sqllocktest.OpRenewLeases, 1, dialect.ClassNoSchema)
		asks("without tables", 1, sqllock.ErrSchema)
		db.Delay(sqllocktest.Any, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		wantErr(t, "of a slow database", c.Healthy(ctx), context.DeadlineExceeded)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("Healthy took %s; its ctx ended after a second", took)
		}
		db.Delay(sqllocktest.Any, 0)
		wantErr(t, "Close", c.Close(t.Context()), nil)
		asks("closed", 0, sqllock.ErrClosed)
	})
}

// Healthy also works for a Client without tables, or one that was never connected.
func TestHealthyUnusual(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Outage(true)
		unprobed := client(t, db, "unprobed", func(o *sqllock.Options) { o.Unprobed = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := unprobed.Healthy(ctx); err == nil {
			t.Error("a Client that has never had an answer is healthy in an outage")
		}
		db.Outage(false)
		db.FailNext(sqllocktest.OpRenewLeases, 1, dialect.ClassReadOnly)
		wantErr(t, "of a replica", unprobed.Healthy(t.Context()), sqllock.ErrUnsupported)
		wantErr(t, "after the outage", unprobed.Healthy(t.Context()), nil)

		c := client(t, db, "sessions", func(o *sqllock.Options) { o.WithoutTables = true })
		time.Sleep(time.Hour)
		before := db.Calls(sqllocktest.OpOpenSession)
		wantErr(t, "without tables", c.Healthy(t.Context()), nil)
		if opened := db.Calls(sqllocktest.OpOpenSession) - before; opened != 1 {
			t.Errorf("Healthy opened %d sessions; want 1", opened)
		}
		session := mustTake(t, c, "session", locktest.Session)
		time.Sleep(time.Hour)
		// The pings of the session, and a reaper, make other calls.
		before = db.Calls(sqllocktest.OpOpenSession)
		wantErr(t, "while a session lock is held", c.Healthy(t.Context()), nil)
		if opened := db.Calls(sqllocktest.OpOpenSession) - before; opened != 0 {
			t.Errorf("while a session lock is held, Healthy opened %d sessions; want 0", opened)
		}
		mustRelease(t, session)
		time.Sleep(time.Hour)
		db.Outage(true)
		if err := c.Healthy(t.Context()); err == nil {
			t.Error("a Client for sessions is healthy in an outage")
		}
		db.Outage(false)
	})
}
