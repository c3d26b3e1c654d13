package sqllock

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// localQueue is where the goroutines of this process wait for one lock, first come, first served.
// Only its head calls the database, so a thousand goroutines are one waiter there.
type localQueue struct {
	head    chan struct{} // holds a token while there is a head; blocked senders are served in order
	freed   chan struct{} // this process has released the lock
	waiters int           // number of waiters, including the head; guarded by localQueues.mu
	handOff *handOff      // the head's, while it waits for the lock; likewise
}

// localQueues are the local queues of one Client, and what it knows about contention.
type localQueues struct {
	open context.Context // ends when the Client is closed

	mu     sync.Mutex // guards the fields below
	queues map[queueKey]*localQueue
	busy   map[queueKey]time.Time // when another process was last found to hold the lock
	spare  []*localQueue          // queues without waiters, to be used again: most are short-lived
}

func newLocalQueues() *localQueues {
	return &localQueues{queues: make(map[queueKey]*localQueue), busy: make(map[queueKey]time.Time)}
}

// enter waits until the caller is the head of the queue. A trace says whether it had to wait. busy
// reports whether another process held the lock a moment ago.
func (qs *localQueues) enter(
	ctx context.Context, key queueKey, trace *acquireTrace,
) (q *localQueue, busy bool, err error) {
	qs.mu.Lock()
	if q = qs.queues[key]; q == nil {
		if n := len(qs.spare); n > 0 {
			q, qs.spare = qs.spare[n-1], qs.spare[:n-1]
		} else {
			q = &localQueue{head: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
		}
		qs.queues[key] = q
	}
	q.waiters++
	behind := q.waiters > 1
	qs.mu.Unlock()
	if behind && trace != nil {
		trace.wait(nil)
	}

	select {
	case q.head <- struct{}{}:
		return q, qs.contended(key), nil
	case <-ctx.Done():
		err = gaveUp(ctx, key.Name, nil)
	case <-qs.open.Done():
		err = errClosed
	}
	qs.leave(key, q, false)
	return nil, false, err
}

// leave leaves the queue. If the caller is its head, the next goroutine becomes the head.
func (qs *localQueues) leave(key queueKey, q *localQueue, head bool) {
	if head {
		<-q.head
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q.waiters--; q.waiters > 0 {
		return
	}
	delete(qs.queues, key)
	if len(qs.spare) < maxSpare {
		select {
		case <-q.freed:
		default:
		}
		q.handOff = nil
		qs.spare = append(qs.spare, q)
	}
}

// maxSpare is the number of queues that are kept for use.
const maxSpare = 64

// freed wakes the head of the queue, so that a hand-off within the process needs no poll.
func (qs *localQueues) freed(key queueKey) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.queues[key]
	if q == nil {
		return
	}
	select {
	case q.freed <- struct{}{}:
	default:
	}
}

// A lock that another process was recently found to hold is read before it is requested, since
// there may be nothing to win.
const (
	busyFor  = time.Second
	maxNames = 1000 // number of queues that are remembered
)

// noteContended records that another process holds the lock.
func (qs *localQueues) noteContended(key queueKey) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if len(qs.busy) >= maxNames {
		clear(qs.busy)
	}
	qs.busy[key] = time.Now()
}

// contended reports whether another process held the lock a moment ago.
func (qs *localQueues) contended(key queueKey) bool {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	seen, ok := qs.busy[key]
	return ok && time.Since(seen) < busyFor
}

// offer makes the hand-off known to goroutines that release the lock.
func (qs *localQueues) offer(h *handOff) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.queues[h.req.queueKey()]; q != nil && !h.withdrawn {
		q.handOff = h
	}
}

// take removes from its queue the hand-off for a lock that is being released, so that one release
// at a time uses it. It returns nil if there is none.
func (qs *localQueues) take(l *Lock) *handOff {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.queues[l.queueKey()]
	if q == nil || q.handOff == nil ||
		q.handOff.req.leaseKey() != l.lease.leaseKey || !q.handOff.req.Matches(l.claim.Key) {
		return nil
	}
	h := q.handOff
	q.handOff = nil
	return h
}

// deliver gives the lock to the waiter. It returns false if the waiter has left or has already got
// another lock: two permits of a semaphore may be on their way to it, since it offers its hand-off
// again after every poll.
func (qs *localQueues) deliver(h *handOff, lock *Lock) bool {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if h.withdrawn {
		return false
	}
	select {
	case h.delivered <- lock:
		return true
	default:
		return false
	}
}

// withdraw ends the hand-off of a waiter that leaves, and releases a lock that came too late.
func (qs *localQueues) withdraw(h *handOff) {
	qs.mu.Lock()
	h.withdrawn = true
	if q := qs.queues[h.req.queueKey()]; q != nil && q.handOff == h {
		q.handOff = nil
	}
	qs.mu.Unlock()
	select {
	case lock := <-h.delivered:
		lock.discardLater()
	default:
	}
}

// aFew is the number of rows that are read first where there are usually none.
const aFew = 16

// handOff lets a goroutine that releases a lock give it to the head of the local queue, in one
// statement instead of two, if no other process waits for the lock. A nil handOff means that there
// is none.
type handOff struct {
	caller    context.Context
	req       acquisition
	delivered chan *Lock // has room for one, so the releasing goroutine doesn't block
	withdrawn bool       // the waiter has left; guarded by localQueues.mu
}

func newHandOff(caller context.Context, req acquisition) *handOff {
	return &handOff{caller: caller, req: req, delivered: make(chan *Lock, 1)}
}

// lock returns the channel on which a lock is delivered, or nil if there is no hand-off.
func (h *handOff) lock() <-chan *Lock {
	if h == nil {
		return nil
	}
	return h.delivered
}

// queuedElsewhere reports whether a waiter under another lease is in a queue other than that of the
// lock's row, which is the only one that Transfer checks. Waiters for a permit of a semaphore are
// in such a queue.
func (a leaseBackend) queuedElsewhere(ctx context.Context, l *Lock, queue dialect.Key) (bool, error) {
	if queue == l.claim.Key {
		return false, nil
	}
	waiting, err := a.c.store.Waiting(ctx, queue, aFew)
	return slices.ContainsFunc(waiting, func(w dialect.Waiting) bool { return w.LeaseID != l.lease.id }), err
}

// transfer hands the lock off to the local waiter, if nobody else waits for it. If passed is false,
// the lock is as it was and has to be released. If inDoubt is also true, the lock may belong to the
// waiter, and the waiter's claim is released in the background.
func (a leaseBackend) transfer(ctx context.Context, l *Lock, h *handOff) (passed, inDoubt bool, err error) {
	if !l.lease.addUser() {
		return false, false, nil
	}
	if others, err := a.queuedElsewhere(ctx, l, h.req.Queue()); others || err != nil {
		l.lease.removeUser()
		return false, false, err
	}
	next := h.req.dialectRequest(l.lease.id)
	next.Key = l.claim.Key
	claim := dialect.Claim{Key: next.Key, Owner: next.Owner}
	grant, inDoubt, err := a.c.store.TransferLock(ctx, dialect.Transfer{Claim: l.claim, Next: next})
	// A try whose reply was lost may have transferred it: then the row is the waiter's.
	if inDoubt && err == nil && !grant.Granted {
		grant, err = a.c.store.AcquireAlone(ctx, next)
	}
	if err != nil || !grant.Granted {
		l.lease.removeUser()
		if inDoubt {
			a.releaseLater(l.lease, claim, l.lease.ttl)
		}
		return false, inDoubt, err
	}
	lock, late := l.lease.grant(h.caller, &Lock{
		claim: claim, fence: grant.Fence, permits: h.req.Permits, delayed: next.LockDelay > 0, inDoubt: inDoubt,
	})
	if late == nil && !a.c.queues.deliver(h, lock) { // if it was late, grant has released it
		lock.discardLater()
	}
	return true, inDoubt, nil
}
