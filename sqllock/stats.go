package sqllock

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Stats are figures about one [Client], from this process's own memory. The counts begin at [New]
// and only grow.
type Stats struct {
	Held    map[Kind]int // locks that are held now; a kind of which there are none is missing
	Waiting map[Kind]int // callers that wait for a lock now, or whose acquisition is in progress; likewise
	Leases  int          // open leases: one for each TTL in use, and one for all session locks

	// LeaseMargin is the least time that was left, within the last minute or two, until one of the
	// leases could no longer be relied on. It says how near this process came to losing its locks.
	// LeaseTTL is the TTL of that lease. If leases have different TTLs, the lease that had the
	// smallest part of its TTL left counts. LeaseTTL is zero if there was no lease.
	LeaseMargin, LeaseTTL time.Duration

	LastAnswer    time.Time // when the database last answered; zero if it never has
	LastHeartbeat time.Time // when a heartbeat last succeeded; zero if none has

	Acquired      int64 // locks that were granted, including the few that came after their caller had left
	Lost          int64 // locks that were lost or broken while they were held (ErrLost)
	GuardsRefused int64 // calls of Guard that returned ErrLost
	Deadlocks     int64 // acquisitions of lease locks that ended with a DeadlockError
	Breaks        int64 // locks that this Client took away from their holders (Break)
	Freed         int64 // locks of dead holders that acquisitions of this Client have freed

	Heartbeats        int64 // heartbeats that have ended, including those that failed
	HeartbeatFailures int64 // heartbeats that failed

	Reaped Reaped // what Reap, and the reaper in the background, have removed
}

// Stats returns figures about the Client. It does not call the database, and costs little: a map
// lookup for each held lock. It also works after [Client.Close].
func (c *Client) Stats() Stats {
	n := &c.counts
	s := Stats{
		Held: make(map[Kind]int), Waiting: c.queues.waiting(),
		LastAnswer: c.store.LastAnswer(), LastHeartbeat: n.lastHeartbeat.time(),
		Acquired: n.acquired.Load(), Lost: n.lost.Load(), GuardsRefused: n.guardsRefused.Load(),
		Deadlocks: n.deadlocks.Load(), Breaks: n.breaks.Load(), Freed: n.freed.Load(),
		Heartbeats: n.heartbeats.Load(), HeartbeatFailures: n.heartbeatFailures.Load(),
	}
	least := n.lowest.least(time.Now())
	for _, l := range c.leases.opened() {
		s.Leases++
		least = least.orLower(l.count(s.Held))
	}
	s.LeaseMargin, s.LeaseTTL = max(least.left, 0), least.ttl
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Reaped = n.reaped
	return s
}

// healthyFor is the greatest age of an answer of the database that [Client.Healthy] relies on.
const healthyFor = 10 * time.Second

// Healthy returns nil if the database answers, so that locks can be acquired and kept. It is meant
// for a readiness probe.
//
// If the database has answered a heartbeat or another call within half of [Options].TTL, or ten
// seconds if that is less, Healthy returns nil at once. While something is held, that is usually
// the case. Otherwise Healthy sends one statement itself, a heartbeat for a lease that does not
// exist, and waits for the answer until ctx ends, or for a few seconds if ctx never ends. With
// [Options].WithoutTables it opens and closes a connection instead.
//
// The errors are [ErrClosed], [ErrSchema] if the tables are missing, and otherwise the database's
// own, or the error of ctx. A server that takes no writes is an error too: an [ErrUnsupported] if
// the Client has not seen it take any, otherwise a failover under way, which Healthy waits for.
// Healthy says nothing about single locks: see [Lock.Context].
func (c *Client) Healthy(ctx context.Context) error {
	if c.store.Open().Err() != nil {
		return errClosed
	}
	if last := c.store.LastAnswer(); !last.IsZero() && time.Since(last) < min(c.opts.TTL/2, healthyFor) {
		return nil
	}
	const doing = "checking whether the database answers"
	if err := c.store.ownTx(ctx, doing, ""); err != nil {
		return err
	}
	check := func() (none struct{}, err error) { return none, c.askDatabase(c.store.Operation(ctx)) }
	_, abandoned, err := store.RunDetached(ctx, c.store.Store, check, func(struct{}) {})
	switch {
	case err == nil:
		c.store.Answered(time.Now())
		return nil
	case abandoned:
		return fmt.Errorf("sqllock: %s: no answer in time: %w", doing, fail.Ended(ctx))
	case c.store.Open().Err() != nil:
		return errClosed
	}
	return c.store.failed(doing, err)
}

// askDatabase makes one call that changes nothing, and that fails if a heartbeat would.
func (c *core) askDatabase(ctx context.Context) error {
	if c.opts.WithoutTables {
		locker, err := c.sessions.locker()
		if err != nil {
			return err
		}
		session, err := c.sessions.open(ctx, locker)
		if err != nil {
			return err
		}
		return session.Close()
	}
	_, err := c.store.Retry(ctx, func(ctx context.Context) error {
		_, err := c.store.RenewLeases(ctx, []string{"no lease has this id"})
		return err
	})
	return err
}

// opened returns the leases that are open.
func (ls *leases) opened() (open []*lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, e := range ls.entries {
		if l := e.readyLease(); l != nil {
			open = append(open, l)
		}
	}
	return open
}

// count adds the locks under the lease to held, and returns what is left of the lease. Of a lease
// that has just ended it returns the margin of no lease, since a loss is noted elsewhere.
func (l *lease) count(held map[Kind]int) margin {
	left := l.remaining()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return margin{}
	}
	for lock := range l.locks {
		held[lock.Kind()]++
	}
	return margin{left, l.ttl}
}

// waiting counts the callers in the local queues.
func (qs *localQueues) waiting() map[Kind]int {
	waiting := make(map[Kind]int)
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for key, q := range qs.queues {
		kind := kindOfSlot(key.Slot)
		if key.session {
			kind = KindSession
		}
		waiting[kind] += q.waiters
	}
	return waiting
}
