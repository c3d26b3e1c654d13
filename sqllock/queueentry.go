package sqllock

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/notify"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// queueEntry is a waiter's entry in the database's queue. Its owner token is used for nothing but a
// lock that is handed over to this entry. So whatever becomes of the entry, releasing that token
// releases a lock that nobody took. A nil queueEntry means that there is none.
type queueEntry struct {
	c       *core
	lease   *lease // the entry is a user of it
	request dialect.Request
	inDoubt bool          // the reply to a request to add the entry was lost: it may be added late
	over    atomic.Bool   // it was removed, or has become a lock
	removed chan struct{} // closed when its row is removed

	subscription  *notify.Subscription  // nil if the waiter polls
	notifications chan dialect.Handover // has room for one
}

// enqueue adds an entry to the database's queue. An entry that says what its waiter holds is not
// for hand-overs: see deadlock.go.
func (c *core) enqueue(ctx context.Context, req acquisition, holds string) (*queueEntry, error) {
	ctx = c.store.Operation(ctx)
	l, err := c.leases.get(ctx, req.leaseKey())
	if err != nil {
		return nil, err
	}
	e := &queueEntry{
		c: c, lease: l, request: req.dialectRequest(l.id),
		notifications: make(chan dialect.Handover, 1), removed: make(chan struct{}),
	}
	if holds == "" { // otherwise the row is in a queue of its own, and nothing is handed over to it
		e.request.Key = req.Queue()
	}
	if holds == "" && !req.Polls() {
		e.subscription = c.listener.Subscribe(ctx, e.request.Owner, e.notifications)
	}
	w := dialect.Waiter{Request: e.request, Channel: e.subscription.Channel(), Holds: holds}
	e.inDoubt, err = c.store.EnqueueWaiter(ctx, w)
	if err != nil {
		e.inDoubt = true
		e.remove()
		return nil, c.store.failed(fmt.Sprintf("entering the queue for lock %q", req.Name), err)
	}
	return e, nil
}

func (e *queueEntry) claim() dialect.Claim {
	return dialect.Claim{Key: e.request.Key, Owner: e.request.Owner}
}

// alive reports whether a lock can still be handed over to the entry. It returns true if there is
// no entry.
func (e *queueEntry) alive() bool { return e == nil || !e.over.Load() && e.lease.remaining() > 0 }

// granted makes the lock that was handed over the caller's. It returns nil if the entry was removed
// or its lease can no longer be relied on; the lock is then released in the background.
func (e *queueEntry) granted(caller context.Context, h dialect.Handover) *Lock {
	if !e.markClaimed() { // it was removed, and the lock is being released
		return nil
	}
	e.removeLate()
	lock, late := e.lease.grant(caller, &Lock{
		claim: e.claim(), fence: h.Fence, delayed: e.request.LockDelay > 0, inDoubt: e.inDoubt,
	})
	if late != nil {
		return nil
	}
	return lock
}

// taken reports whether the entry has become a lock or was removed. It returns true if there is no
// entry.
func (e *queueEntry) taken() bool { return e == nil || e.over.Load() }

// markClaimed marks the entry as over, because its row is gone or about to be removed. It returns
// false if it was over before.
func (e *queueEntry) markClaimed() bool {
	if !e.over.CompareAndSwap(false, true) {
		return false
	}
	e.subscription.End()
	return true
}

// removeLate removes the row that a lost request may still add to the queue after the entry has
// become a lock.
func (e *queueEntry) removeLate() {
	if e.inDoubt {
		e.c.store.Spawn(func() {
			e.lease.retryUntilCertain(e.lease.ttl, e.dequeue)
		})
	}
}

// remove removes the entry in the background. If its row is not there any more, or may have been
// added twice, the lock may have been handed over to it, so its owner token is released.
func (e *queueEntry) remove() {
	if e == nil || !e.markClaimed() {
		return
	}
	if left := e.c.store.Spawn(e.removeRow); !left { // the Client is closed, and its leases are gone
		close(e.removed)
		e.lease.removeUser()
	}
}

// removeAbandoned is remove for an entry whose waiter has left already. It runs in the background,
// and removes the row even if the Client is being closed. It calls after before it blocks.
func (e *queueEntry) removeAbandoned(after func()) {
	unclaimed := e != nil && e.markClaimed()
	after()
	if unclaimed {
		e.removeRow()
	}
}

// removeRow implements remove. It blocks until the row is removed, or the lease is over.
func (e *queueEntry) removeRow() {
	defer close(e.removed)
	defer e.lease.removeUser()
	late := time.Duration(0)
	if e.inDoubt {
		late = e.lease.ttl
	}
	e.lease.retryUntilCertain(late, func(ctx context.Context) (bool, error) {
		was, err := e.dequeue(ctx)
		if err != nil || was && !e.inDoubt {
			return was, err
		}
		// The lock was handed over to the entry. If the entry was in doubt, it may have been added
		// again after that.
		ours, err := leaseBackend{e.c}.releaseOnce(ctx, e.lease, e.claim())
		return was || ours, err
	})
}

// awaitRemoval waits briefly for an entry that is being removed, because a release would hand the
// lock over to it.
func (e *queueEntry) awaitRemoval(ctx context.Context) {
	if e == nil {
		return
	}
	select {
	case <-e.removed:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	select {
	case <-e.removed:
	case <-ctx.Done():
	}
}

// removalTimeout is longer than the removal of a row from the queue takes, unless the database has
// a problem.
const removalTimeout = time.Second

// removeNow is remove, but blocks until the row is removed. If the database doesn't answer, the
// removal goes on in the background.
func (e *queueEntry) removeNow(ctx context.Context) {
	if e == nil {
		return
	}
	was, err := e.c.store.DequeueWaiter(e.c.store.Operation(ctx), e.claim())
	if err != nil || !was || e.inDoubt {
		e.remove()
	} else if e.markClaimed() {
		e.lease.removeUser()
	}
}

// dequeue removes the entry's row from the queue. It reports whether the row was there.
func (e *queueEntry) dequeue(ctx context.Context) (bool, error) {
	return e.c.store.Dequeues.Do(ctx, e.claim())
}

// behind returns an error if the request is fair and another waiter is first in the queue, which
// the request must not pass.
func (t *attempt) behind(ctx context.Context) error {
	if !t.fair || t.hasEntry() { // what was handed over to its entry is its own, and the entry is gone
		return nil
	}
	var queue []dialect.Waiting
	_, err := t.retry(ctx, func(ctx context.Context) (err error) {
		queue, err = t.c.store.Queue(ctx, t.queue, 1)
		return err
	})
	if err != nil || len(queue) == 0 || t.entry != nil && queue[0].Owner == t.entry.request.Owner {
		return err
	}
	return &HeldError{
		Name: t.request.Name, Holder: queue[0].Holder, Note: queue[0].Note, queued: true,
		reason: fmt.Sprintf("%s is first in its queue, since %s",
			queue[0].Holder, queue[0].Since.UTC().Format(time.RFC3339)),
	}
}

// handedOver reports whether the row was handed over to this waiter's queue entry, although no
// notification came. The attempt then goes on with the owner token of that entry.
func (t *attempt) handedOver(row dialect.Row) bool {
	if t.entry == nil || row.Owner != t.entry.request.Owner {
		return false
	}
	if t.inDoubt {
		t.lease.backend.releaseLater(t.lease, t.claim(), t.lease.ttl)
		t.inDoubt = false
	}
	t.request = t.entry.request
	return true
}

// hasEntry reports whether the attempt uses the owner token of its queue entry.
func (t *attempt) hasEntry() bool { return t.entry != nil && t.request.Owner == t.entry.request.Owner }

// Waiter is a process that waits for a lock. However many of its goroutines wait, it is one Waiter.
type Waiter struct {
	Name   string    // the name of the lock that it waits for
	Kind   Kind      // the kind of lock that it waits for
	Holder string    // its Options.Holder
	Note   string    // the note of the first of its goroutines that wait (WithNote)
	Since  time.Time // when that goroutine began to wait, by the database's clock

	Priority int // of a candidate in an election (Priority)
}

// maxQueue is how many waiters Queue reads.
const maxQueue = 1000

// Queue returns the processes that wait for a lease lock of that name, of any kind, in the order of
// their arrival: up to a thousand for each kind. The queue may have changed when Queue returns. A
// process that polls is listed only after it has waited for a quarter of a second, unless it uses
// [Fair]. Queue blocks until the database has answered or ctx ends.
func (c *Client) Queue(ctx context.Context, name string) ([]Waiter, error) {
	if err := c.checkInspect(name); err != nil {
		return nil, err
	}
	var queue []dialect.Waiting
	for _, slot := range []int{request.SlotExclusive, request.SlotWriter, request.SlotPermits, request.SlotElection} {
		some, err := c.store.Waiting(ctx, dialect.Key{Name: name, Slot: slot}, maxQueue)
		if err != nil {
			return nil, c.store.failed(fmt.Sprintf("reading the queue for lock %q", name), err)
		}
		queue = append(queue, some...)
	}
	slices.SortStableFunc(queue, func(a, b dialect.Waiting) int { return a.Since.Compare(b.Since) })
	waiters := make([]Waiter, len(queue))
	for i, w := range queue {
		waiters[i] = waiterOf(w)
	}
	return waiters, nil
}

func waiterOf(w dialect.Waiting) Waiter {
	return Waiter{
		Name: w.Name, Kind: kindOfSlot(w.Slot), Holder: w.Holder, Note: w.Note, Since: w.Since,
		Priority: request.PriorityOf(w.Owner),
	}
}

// Waiters lists the processes that wait for lease locks of any name, in the order of their arrival,
// as [Client.Queue] does for one name. It reads the database page by page during the iteration, so
// different pages show different moments. An error ends the iteration.
func (c *Client) Waiters(ctx context.Context) iter.Seq2[Waiter, error] {
	return func(yield func(Waiter, error) bool) {
		if err := c.checkTables("listing waiters"); err != nil {
			yield(Waiter{}, err)
			return
		}
		for after := int64(0); ; {
			page, err := c.store.ListWaiters(ctx, after, waitersPage)
			if err != nil {
				yield(Waiter{}, c.store.failed("listing waiters", err))
				return
			}
			for _, w := range page {
				if !yield(waiterOf(w), nil) {
					return
				}
			}
			if len(page) < waitersPage {
				return
			}
			after = page[waitersPage-1].Ticket
		}
	}
}

// active reports whether the entry's waiter will be notified.
func (e *queueEntry) active() bool { return e != nil && e.subscription.Active() }

// stopped returns a channel that is closed when an entry that was to be notified will not be.
func (e *queueEntry) stopped() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.subscription.Stopped()
}

// stopListening makes the entry's waiter poll. Its row still has the channel, so it finds a
// hand-over by polling.
func (e *queueEntry) stopListening() { e.subscription = nil }

// notified returns the channel on which hand-overs are delivered, or nil if there is no entry.
func (e *queueEntry) notified() <-chan dialect.Handover {
	if e == nil {
		return nil
	}
	return e.notifications
}
