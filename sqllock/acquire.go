package sqllock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Polls of a waiter while the lock is another process's: soon at first, then backing off.
const (
	firstPoll = 20 * time.Millisecond
	maxPoll   = time.Second
)

// TryAcquire takes the lock if it is free, or its holder dead, and doesn't wait otherwise: then the error is a
// *HeldError (errors.Is(err, ErrNotAcquired)) that tells who holds it. Any other error means that the database
// failed, and after a few seconds of retries at most; nothing stays taken. If ctx ends first, so does TryAcquire,
// with an error that is both ErrNotAcquired and ctx.Err(). After it returns, ctx means nothing to the lock.
func (c *Client) TryAcquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	w, err := c.wish(name, opts)
	if err != nil {
		return nil, err
	}
	lock, _, err := c.attempt(ctx, w, false, func() {})
	return lock, err
}

// Acquire takes the lock, and waits for it until ctx ends: then the error is both ErrNotAcquired, mostly with a
// *HeldError that tells who holds it, and ctx.Err(). Any other error means that the database failed, or the
// Client was closed (ErrClosed); nothing stays taken. Goroutines of one Client get a name first come first served;
// between processes there is no order. After Acquire returns, ctx means nothing to the lock.
func (c *Client) Acquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	w, err := c.wish(name, opts)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, name, nil)
	}
	ln, err := c.enter(ctx, w.place())
	if err != nil {
		return nil, err
	}
	// An attempt that outlives its caller keeps his place: of one name, one at a time is under way.
	leave, outlived := func() { c.leave(w.place(), ln) }, false
	defer func() {
		if !outlived {
			leave()
		}
	}()

	var held *HeldError
	for poll := firstPoll; ; poll = min(poll*3/2, w.maxPoll()) {
		var lock *Lock
		lock, outlived, err = c.attempt(ctx, w, held != nil, leave)
		if err == nil {
			return lock, nil
		}
		if ctx.Err() != nil {
			return nil, gaveUp(ctx, name, held)
		}
		if errors.Is(err, errLate) {
			continue // under the next lease
		}
		before := held
		if !errors.As(err, &held) {
			return nil, err
		}
		if w.onWait != nil && !held.sameAs(before) {
			w.onWait(held)
		}
		if err := c.wait(ctx, ln, held, poll); err != nil {
			return nil, err
		}
	}
}

// wait is over when it makes sense to look at the lock again; an error says that the caller has to give up.
func (c *Client) wait(ctx context.Context, ln *line, held *HeldError, poll time.Duration) error {
	d := jitter(poll)
	if held.Remaining > 0 {
		d = min(d, held.Remaining+time.Millisecond)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ln.freed:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx, held.Name, held)
	case <-c.open.Done():
		return fmt.Errorf("sqllock: %w", ErrClosed)
	}
}

// attempt tries once to take the lock. It returns as soon as ctx ends; the statement that is under way by then goes
// on by itself, a lock that is granted to nobody is given back, and only after that after is called: outlived says so.
func (c *Client) attempt(ctx context.Context, w wish, looking bool, after func()) (lock *Lock, outlived bool, err error) {
	if ctx.Err() != nil {
		return nil, false, gaveUp(ctx, w.name, nil)
	}
	type outcome struct {
		lock *Lock
		err  error
	}
	answer := make(chan outcome) // unbuffered: what is sent was received
	started := c.spawn(func() {
		lock, err := c.take(ctx, w, looking)
		select {
		case answer <- outcome{lock, err}:
		case <-ctx.Done():
			if lock != nil {
				lock.giveBack()
			}
			after()
		}
	})
	if !started {
		return nil, false, fmt.Errorf("sqllock: %w", ErrClosed)
	}
	select {
	case o := <-answer:
		return o.lock, false, o.err
	case <-ctx.Done():
		return nil, true, gaveUp(ctx, w.name, nil)
	}
}
