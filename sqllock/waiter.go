package sqllock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Intervals at which a waiter polls while another process holds the lock: short at first, then
// growing.
const (
	firstPoll = 20 * time.Millisecond
	maxPoll   = time.Second

	// A lock that has another holder at every poll changes hands often and is worth polling more
	// often.
	busyPoll = 100 * time.Millisecond

	// Waiters that are notified poll too, since a notification can be lost. The first release that
	// is waited for may not have seen the queue entry.
	firstListeningPoll = 50 * time.Millisecond
	firstListening     = 500 * time.Millisecond
	maxListening       = 2 * time.Second

	// Without notifications, a queue entry serves order and people, and a short wait isn't worth
	// its two writes.
	enqueueAfter = 250 * time.Millisecond
)

// waiter is one call of Acquire, from when it becomes the head of its local queue until it has the
// lock or gives up.
type waiter struct {
	c         acquirer
	req       acquisition
	queue     *localQueue
	abandoned bool // an attempt that goes on without the caller keeps the place in the local queue

	began       time.Time
	held        *HeldError // the holder as it was last seen
	moved       bool       // a different holder was seen than at the previous poll
	outage      error      // why the last attempt had no answer; nil if it had one
	recovered   bool       // OnWait has heard of an outage, and not yet of a holder after it
	poll        time.Duration
	firstWaiter bool // nobody has waited for the lock recently
	readFirst   bool // the lock was held a moment ago, so read before writing
	pollNow     bool // poll again at once
	handOff     *handOff
}

// end cleans up when the caller leaves, with or without the lock.
func (w *waiter) end() {
	if w.handOff != nil {
		w.c.queues.withdraw(w.handOff)
	}
	if w.req.entry != nil {
		w.req.entry.remove()
	}
	if !w.abandoned {
		w.leaveQueue()
	}
}

// listens reports whether the waiter will be notified when it has the lock.
func (w *waiter) listens() bool { return !w.req.Polls() && w.c.listener.Works() }

func (w *waiter) leaveQueue() { w.c.queues.leave(w.req.queueKey(), w.queue, true) }

// step tries once to take the lock, and then waits until it makes sense to try again. It returns
// neither a lock nor an error if the caller should call it again. Only one attempt per local queue
// is in progress at a time: an attempt that outlives its caller keeps the caller's place.
//
// If the lock was held a moment ago and waiters are notified, the queue entry comes first. A waiter
// that reads the row after that can't miss a notification.
func (w *waiter) step(ctx context.Context) (lock *Lock, err error) {
	if w.readFirst && w.held == nil && w.listens() {
		err = w.enqueue(ctx)
		w.pollNow = false // the attempt is that poll
	}
	if err == nil {
		lock, w.abandoned, err = w.c.attempt(ctx, w.req, w.readFirst, w.leaveQueue)
	}
	switch {
	case err == nil:
		return lock, nil
	case ctx.Err() != nil:
		return nil, w.gaveUp(ctx)
	case errors.Is(err, errGrantTooLate): // try again under the next lease
		return nil, nil
	case w.waitOutOutage(ctx, err):
		return nil, nil
	case !w.observe(err):
		return nil, err
	}
	w.outage = nil
	if lock, err = w.wait(ctx); err != nil && w.waitOutOutage(ctx, err) { // no queue entry for the time being
		return nil, nil
	}
	return lock, err
}

// waitOutOutage waits for a moment if err means that the database is busy, restarting or cut off,
// so that a later attempt may be answered. Otherwise it returns false at once.
func (w *waiter) waitOutOutage(ctx context.Context, err error) bool {
	if !w.c.store.unanswered(err) {
		return false
	}
	if w.outage == nil && w.req.OnWait != nil {
		w.req.OnWait(outageError(w.req.Name, err))
	}
	w.outage, w.recovered = err, true
	w.c.log.Warn("sqllock: the database can't be used; the acquisition goes on waiting",
		"lock", w.req.Name, "err", err)
	store.Sleep(ctx, store.Jitter(store.MaxBackoff))
	return true
}

// gaveUp returns the error for a caller whose ctx has ended. It says who held the lock, or why that
// could not be found out.
func (w *waiter) gaveUp(ctx context.Context) error {
	switch {
	case w.outage != nil:
		return fmt.Errorf("%w; the database couldn't be used: %w", gaveUp(ctx, w.req.Name, w.held), w.outage)
	case w.held == nil:
		return w.c.store.gaveUpUnanswered(ctx, w.req.Name)
	}
	return gaveUp(ctx, w.req.Name, w.held)
}

// observe records the holder that err describes. It returns false if err describes none.
func (w *waiter) observe(err error) bool {
	before := w.held
	if !errors.As(err, &w.held) {
		return false
	}
	w.req.trace.wait(w.held)
	same := w.held.sameAs(before)
	w.moved = before != nil && !same
	if w.req.OnWait != nil && (!same || w.recovered) {
		w.req.OnWait(w.held)
	}
	w.recovered = false
	w.readFirst = true
	if !w.req.Session {
		w.c.queues.noteContended(w.req.queueKey())
	}
	return true
}

// wait waits until it makes sense to poll again, or returns a lock that was handed over. An error
// means that the caller has to give up.
func (w *waiter) wait(ctx context.Context) (*Lock, error) {
	if err := w.register(ctx); err != nil || w.pollNow {
		w.pollNow = false
		return nil, err
	}
	timer := time.NewTimer(w.nextPoll())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil, nil
	case <-w.queue.freed:
		return nil, nil
	case lock := <-w.handOff.lock():
		if lock.check() != nil { // its lease has ended since then: try again under the next one
			lock.discardLater()
			return nil, nil
		}
		return lock, nil
	case h := <-w.req.entry.notified():
		return w.req.entry.granted(ctx, h), nil
	case <-w.req.entry.stopped():
		w.req.entry.stopListening()
		return nil, nil
	case <-ctx.Done():
		return nil, gaveUp(ctx, w.req.Name, w.held)
	case <-w.c.store.Open().Done():
		return nil, errClosed
	}
}

// register makes the waiter known to the goroutines of this process that may hand the lock off, and
// to other processes.
func (w *waiter) register(ctx context.Context) error {
	if w.req.Session {
		return nil
	}
	if w.handOff == nil {
		w.handOff = newHandOff(ctx, w.req)
	}
	w.c.queues.offer(w.handOff)
	if !w.req.entry.alive() { // its lease has ended, and with it the entry; or its token is being released
		w.req.entry.remove()
		w.req.entry = nil
	}
	if w.req.entry == nil && (w.req.Fair || w.listens() || time.Since(w.began) >= enqueueAfter) {
		return w.enqueue(ctx)
	}
	return nil
}

// enqueue adds an entry to the database's queue. The lock may have been released just before the
// entry was written, so the waiter polls again at once.
func (w *waiter) enqueue(ctx context.Context) error {
	add := func() (*queueEntry, error) { return w.c.enqueue(ctx, w.req, "") }
	e, abandoned, err := store.RunDetached(ctx, w.c.store.Store, add, func(e *queueEntry) {
		e.removeAbandoned(w.leaveQueue)
	})
	switch {
	case abandoned:
		w.abandoned = true
		return gaveUp(ctx, w.req.Name, w.held)
	case err != nil:
		return err
	}
	w.req.entry.remove() // a previous entry is of no use any more
	w.req.entry, w.pollNow, w.poll = e, true, 0
	if w.req.OnQueued != nil {
		w.req.OnQueued()
	}
	return nil
}

// nextPoll returns how long to wait until the next poll.
func (w *waiter) nextPoll() time.Duration {
	first, longest := firstPoll, maxPoll
	switch {
	case w.req.Session: // a poll writes nothing, and nothing tells when the holder's connection will end
		longest = maxPoll / 20
	case w.held != nil && w.held.queued:
		longest = busyPoll
	case w.req.entry.active():
		first, longest = firstListening, maxListening
		if w.firstWaiter {
			first, w.firstWaiter = firstListeningPoll, false
		}
	case w.moved, w.req.Fair:
		longest = busyPoll
	}
	w.poll = min(max(w.poll*3/2, first), longest)
	d := store.Jitter(w.poll)
	if w.held != nil && w.held.Remaining > 0 {
		d = min(d, w.held.Remaining+time.Millisecond)
	}
	return d
}
