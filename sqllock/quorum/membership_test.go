package quorum_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// The first start takes MaxTTL, and only that one does.
func TestQuorumFirstStart(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		q := c.process("a")
		time.Sleep(quorumMax / 2)
		err := c.refused(q)
		wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
		if !strings.Contains(err.Error(), "its votes count in 5s") {
			t.Errorf("it doesn't say how long yet: %v", err)
		}
		if n := c.votes(); n != 0 {
			t.Errorf("%d votes for a lock that couldn't be had", n)
		}
		began := time.Now()
		c.release(c.waitFor(q))
		if took := time.Since(began); took < quorumMax/2 || took > quorumMax/2+2*time.Second {
			t.Errorf("Acquire waited %s", took)
		}
		c.release(c.take(c.process("b")))
	})
}

// A database that is restarted without its data doesn't help to a second majority, and takes part
// again after a while.
func TestQuorumDataLost(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		c.down(2)
		l := c.take(a, sqllock.WithTTL(quorumMax))
		time.Sleep(quorumMax / 3)
		c.up()
		c.dbs[0].Wipe()
		wiped := time.Now()
		for l.Context().Err() == nil && time.Since(wiped) < time.Hour {
			wantErr(t, "TryAcquire", c.refused(b), sqllock.ErrNotAcquired)
			time.Sleep(50 * time.Millisecond)
		}
		if took := time.Since(wiped); took > quorumMax {
			t.Errorf("the holder trusted the lock for %s", took)
		}
		next := c.waitFor(b)
		if next.Fence() <= l.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), l.Fence())
		}
		c.release(next)
		time.Sleep(quorumMax)
		c.down(2)
		c.release(c.take(a))
		c.up()
	})
}

// It is noticed, too, if the data is lost between the vote and the check whether it counts.
func TestQuorumDataLostBetween(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		c.release(c.take(b)) // its votes are known to count
		synctest.Wait()
		c.down(2)
		l := c.take(a, sqllock.WithTTL(quorumMax))
		synctest.Wait()
		c.up()
		c.dbs[0].Wipe()
		err := c.refused(b)
		const young = "database 1 (memory): lock not acquired: it takes part for too short a time"
		if !strings.Contains(err.Error(), young) {
			t.Errorf("%v", err)
		}
		c.release(l)
	})
}

// A quorum starts with a minority down. That database is checked when it answers.
func TestQuorumStartsWithMinority(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		c.down(1)
		q := c.start("a")
		c.up()
		time.Sleep(quorumMax)
		c.release(c.take(q)) // registers the second database
		time.Sleep(quorumMax)
		c.down(0)
		c.release(c.take(q))
		c.down(2)
		_, err := quorum.New(t.Context(), c.clients("late", unprobed), c.options())
		if err == nil || errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "1 of its 3 databases") ||
			!strings.Contains(err.Error(), "outage") {
			t.Errorf("New with a majority down: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = quorum.New(ctx, c.clients("late", unprobed), c.options())
		wantErr(t, "New", err, context.DeadlineExceeded)
		c.up()
	})
}

func unprobed(o *sqllock.Options) { o.Unprobed = true }

// start is process while a minority may be down.
func (c *cluster) start(holder string) *quorum.Quorum {
	c.Helper()
	q, err := quorum.New(c.Context(), c.clients(holder, unprobed), c.options())
	if err != nil {
		c.Fatal(err)
	}
	return q
}

// If two Clients lead to one database, that is found before the first vote of the later one counts.
func TestQuorumSameDatabaseLate(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		clients := c.clients("a")
		elsewhere := &switched{Dialect: c.dbs[1]}
		elsewhere.to.Store(&c.dbs[2])
		clients[2] = client(t, elsewhere, "a")
		c.down(2)
		q, err := quorum.New(t.Context(), clients, c.options())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(quorumMax)
		elsewhere.to.Store(&c.dbs[1]) // its address leads to another server by now
		l := c.take(q)
		synctest.Wait()
		c.release(l)
		c.down(0)
		err = c.refused(q)
		if !errors.Is(err, sqllock.ErrInvalid) || !strings.Contains(err.Error(), "the same database") {
			t.Errorf("with two of three the same: %v", err)
		}
		c.up()
	})
}

// switched is a connection to a database that may lead to another one later.
type switched struct {
	dialect.Dialect
	to atomic.Pointer[*sqllocktest.Dialect]
}

func (s *switched) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return (*s.to.Load()).Get(ctx, keys)
}

func (s *switched) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return (*s.to.Load()).Acquire(ctx, requests)
}

// The quorum's membership rows stay when the reaper runs.
func TestQuorumMembershipStays(t *testing.T) {
	quorums(t, 3, func(t *testing.T, c *cluster) {
		a, b := c.grown()
		var reapers []*sqllock.Client
		for _, db := range c.dbs {
			reapers = append(reapers, client(t, db, "reaper", func(o *sqllock.Options) { o.PurgeAfter = time.Second }))
		}
		last := int64(0)
		for range 3 {
			time.Sleep(24 * time.Hour)
			for _, r := range reapers {
				if _, err := r.Reap(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, q := range []*quorum.Quorum{a, b} {
				l := c.take(q)
				if l.Fence() <= last {
					t.Errorf("fence %d after %d", l.Fence(), last)
				}
				last = l.Fence()
				c.release(l)
				synctest.Wait()
			}
		}
	})
}
