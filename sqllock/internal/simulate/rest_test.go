package simulate

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// comesToRest checks, when the faults have stopped, that everybody gets on and that nothing is
// left.
func (w *world) comesToRest() {
	ttl := w.schedule.ttl
	// A dead holder's lease, a bar, the end of a lost connection: each takes a few TTLs at most.
	// Then the callers hold what they want to hold, in the worst case one after the other.
	limit := 10*ttl + 2*time.Duration(w.pending.Load()) + time.Minute
	if w.schedule.has(setBack) { // a dead waiter's lease, which only the reaper looks at, twice
		limit += 3 * w.schedule.reapEvery
	}
	for from := time.Now(); w.busy.Load() > 0; time.Sleep(ttl / 2) {
		if time.Since(from) > limit {
			w.ledger.violated("everybody gets on", "%d callers are still busy %s after the last fault",
				w.busy.Load(), limit)
			return
		}
	}
	w.nothingIsLeft()
	if w.ledger.found() == nil {
		w.everythingIsFree()
	}
}

// nothingIsLeft checks that no row is held and that nobody is in a queue, while all processes go
// on.
func (w *world) nothingIsLeft() {
	ttl := w.schedule.ttl
	operator := w.process(0)
	time.Sleep(6 * time.Second) // a statement without a reply is given up after five, without its caller
	for range 3 {               // a clock that was set back shows after a lease was watched for its TTL
		time.Sleep(2 * ttl)
		if _, err := operator.client.Reap(background); err != nil {
			w.ledger.violated("nothing is left", "reaping without faults: %v", err)
			return
		}
	}
	heartbeats := w.db.Calls(sqllocktest.OpRenewLeases)
	if time.Sleep(2 * ttl); w.db.Calls(sqllocktest.OpRenewLeases) > heartbeats {
		w.ledger.violated("nothing is left", "a lease under which nothing is held is renewed")
	}
	rows, err := w.db.List(background, dialect.Key{}, true, 10)
	if err != nil || len(rows) > 0 {
		w.ledger.violated("nothing is left", "rows %+v, %v", rows, err)
	}
	for _, name := range []string{exclusive(0), exclusive(1), exclusive(2), "rw0", "rw1", "pool0", "pool1", "lead"} {
		queue, err := operator.client.Queue(background, name)
		if err != nil || len(queue) > 0 {
			w.ledger.violated("nothing is left", "in the queue for %q: %+v, %v", name, queue, err)
		}
	}
	waiting, err := w.db.WaitingHolders(background, 0, 10)
	if err != nil || len(waiting) > 0 {
		w.ledger.violated("nothing is left", "registered for deadlocks: %+v, %v", waiting, err)
	}
}

// everythingIsFree checks that a process that comes now gets every lock soon.
func (w *world) everythingIsFree() {
	c := w.start(0).client
	within := 4*w.schedule.ttl + time.Second // a bar that a clock set back seems to prolong has to be watched
	ctx, cancel := context.WithTimeout(background, within)
	defer cancel()
	free := func(what string, locks []*sqllock.Lock, err error) {
		if err != nil {
			w.ledger.violated("everything is free", "%s within %s: %v", what, within, err)
		}
		for _, lock := range locks {
			if err := lock.Release(background); err != nil {
				w.ledger.violated("everything is free", "releasing %s: %v", what, err)
			}
		}
	}
	for n := range 3 {
		lock, err := c.Acquire(ctx, exclusive(n))
		free(exclusive(n), locksOf(lock), err)
	}
	for n := range 2 {
		lock, err := c.RWLock(fmt.Sprint("rw", n)).Acquire(ctx)
		free("the writer of an RWLock", locksOf(lock), err)
		var permits []*sqllock.Lock
		for range mostPermits {
			permit, err := c.Semaphore(fmt.Sprint("pool", n), mostPermits).Acquire(ctx)
			free("a permit", nil, err)
			permits = append(permits, locksOf(permit)...)
		}
		free("permits", permits, nil)
		s, err := c.Session(fmt.Sprint("session", n)).Acquire(ctx)
		free("a session lock", nil, err)
		if s != nil {
			free("a session lock", nil, s.Release(background))
		}
	}
}

// locksOf returns the lock in a slice, or nil if there is none.
func locksOf(lock *sqllock.Lock) []*sqllock.Lock {
	if lock == nil {
		return nil
	}
	return []*sqllock.Lock{lock}
}
