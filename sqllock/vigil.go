package sqllock

import (
	"context"
	"errors"
	"time"
)

// Polls of a waiter while the lock is another process's: soon at first, then backing off.
const (
	firstPoll = 20 * time.Millisecond
	maxPoll   = time.Second

	// A lock that was found in other hands at every look is passed around, and worth to be looked at more often.
	busyPoll = 100 * time.Millisecond

	// Of those who will be told, since a message can be lost. The first release that is waited for may not have seen it.
	firstTime      = 50 * time.Millisecond
	firstListening = 500 * time.Millisecond
	maxListening   = 2 * time.Second

	// Without wake-ups, a place in the queue is for order and for people, and a short wait isn't worth its two writes.
	standsFor = 250 * time.Millisecond
)

// vigil is one call of Acquire, from when it heads its line until it has the lock or gives up.
type vigil struct {
	c    *Client
	w    wish
	line *line
	stay bool // in the line, for what has outlived the caller

	began   time.Time
	held    *HeldError // by whom, as it was last seen
	moved   bool       // in other hands than at the look before
	poll    time.Duration
	fresh   bool // nobody has waited for it lately
	looking bool // read first: there may be nothing to win
	again   bool // look again at once
	heir    *heir
}

func newVigil(c *Client, w wish, ln *line) *vigil {
	busy := c.contended(w.place())
	return &vigil{c: c, w: w, line: ln, began: time.Now(), looking: busy, fresh: !busy}
}

// end is for when the caller leaves, with or without the lock.
func (v *vigil) end() {
	v.heir.withdraw(v.c)
	v.w.seat.leave()
	if !v.stay {
		v.leave()
	}
}

// listens tells whether it will be told when the lock is its own.
func (v *vigil) listens() bool { return !v.w.polls() && v.c.ear.listens() }

func (v *vigil) leave() { v.c.leave(v.w.place(), v.line) }

// turn tries once to take the lock, and then waits until it makes sense to try again. Neither lock nor error: it does.
func (v *vigil) turn(ctx context.Context) (*Lock, error) {
	lock, err := v.attempt(ctx)
	switch {
	case err == nil:
		return lock, nil
	case ctx.Err() != nil:
		return nil, gaveUp(ctx, v.w.name, v.held)
	case errors.Is(err, errLate): // under the next lease
		return nil, nil
	case v.joinsWriters(err):
		return nil, nil
	case !v.found(err):
		return nil, err
	}
	return v.wait(ctx)
}

// attempt tries once. Of one name, one attempt at a time is under way: one that outlives its caller keeps his place.
//
// Where the lock was held a moment ago and waiters are told, the place in the queue comes first: who looks after that
// has missed nothing.
func (v *vigil) attempt(ctx context.Context) (*Lock, error) {
	if v.looking && v.held == nil && v.listens() {
		if err := v.sit(ctx); err != nil {
			return nil, err
		}
		v.again = false
	}
	lock, outlived, err := v.c.attempt(ctx, v.w, v.looking, v.leave)
	v.stay = outlived
	return lock, err
}

// found takes note of who was found to hold the lock. False: that is not what the error says.
func (v *vigil) found(err error) bool {
	before := v.held
	if !errors.As(err, &v.held) {
		return false
	}
	same := v.held.sameAs(before)
	v.moved = before != nil && !same
	if v.w.onWait != nil && !same {
		v.w.onWait(v.held)
	}
	v.looking = true
	if !v.w.session {
		v.c.contends(v.w.place())
	}
	return true
}

// wait is over when it makes sense to look at the lock again, with a lock that was handed over, or with the error that
// the caller has to give up.
func (v *vigil) wait(ctx context.Context) (*Lock, error) {
	if err := v.settleDown(ctx); err != nil || v.again {
		v.again = false
		return nil, err
	}
	timer := time.NewTimer(v.pause())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil, nil
	case <-v.line.freed:
		return nil, nil
	case lock := <-v.heir.lock():
		return lock, nil
	case h := <-v.w.seat.told():
		return v.w.seat.granted(ctx, h), nil
	case <-v.w.seat.deaf():
		v.w.seat.deafened()
		return nil, nil
	case <-ctx.Done():
		return nil, gaveUp(ctx, v.w.name, v.held)
	case <-v.c.open.Done():
		return nil, errClosed
	}
}

// settleDown makes the waiter known: to the goroutines of this process that may pass the lock on, and to other processes.
func (v *vigil) settleDown(ctx context.Context) error {
	if v.w.session {
		return nil
	}
	if v.heir == nil {
		v.heir = newHeir(ctx, v.w)
	}
	v.heir.offer(v.c)
	if !v.w.seat.lives() || v.w.seat.astray(v.w) { // its lease has ended, and with it the place; or others queue up elsewhere
		v.w.seat.leave()
		v.w.seat = nil
	}
	if v.w.seat == nil && (v.w.fair || v.listens() || time.Since(v.began) >= standsFor) {
		return v.sit(ctx)
	}
	return nil
}

// sit takes a place in the database's queue. The lock may have been released just before that was written, so it is worth
// another look.
func (v *vigil) sit(ctx context.Context) error {
	s, outlived, err := detached(ctx, v.c, func() (*seat, error) { return v.c.sit(ctx, v.w, "") }, func(s *seat) {
		s.leave()
		v.leave()
	})
	switch {
	case outlived:
		v.stay = true
		return gaveUp(ctx, v.w.name, v.held)
	case err != nil:
		return err
	}
	v.w.seat.leave() // one that was of no use any more
	v.w.seat, v.again, v.poll = s, true, 0
	return nil
}

// pause is how long to wait until the next look.
func (v *vigil) pause() time.Duration {
	first, longest := firstPoll, maxPoll
	switch {
	case v.w.session: // to poll writes nothing, and nothing tells when the holder's connection will end
		longest = maxPoll / 20
	case v.held != nil && v.held.queued:
		longest = busyPoll
	case v.w.seat.hears():
		first, longest = firstListening, maxListening
		if v.fresh {
			first, v.fresh = firstTime, false
		}
	case v.moved, v.w.fair:
		longest = busyPoll
	}
	v.poll = min(max(v.poll*3/2, first), longest)
	d := jitter(v.poll)
	if v.held != nil && v.held.Remaining > 0 {
		d = min(d, v.held.Remaining+time.Millisecond)
	}
	return d
}
