package sqllock

import (
	"context"
	"errors"
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
	return c.try(w.says(ctx), w)
}

// try is TryAcquire of what was wished for.
func (c *Client) try(ctx context.Context, w wish) (*Lock, error) {
	w = c.amongReaders(w)
	reads := w.shared && !w.session
	// A flag that goes up and down again and again would keep a writer waiting: who saw one a moment ago looks first.
	lock, _, err := c.attempt(ctx, w, reads && c.contended(w.place()), func() {})
	if reads && errors.Is(err, ErrNotAcquired) {
		c.contends(w.place())
	}
	if meetsReaders(err) && w.mayWrite() {
		w.slot = slotWriter
		lock, _, err = c.attempt(ctx, w, false, func() {})
	}
	if err == nil && lock.writes() {
		return c.aloneNow(ctx, lock)
	}
	return lock, err
}

// Acquire takes the lock, and waits for it until ctx ends: then the error is both ErrNotAcquired, mostly with a
// *HeldError that tells who holds it, and ctx.Err(). Any other error means that the database failed, the Client was
// closed (ErrClosed), or the name is in use as something else, an election say (ErrInvalid, at once); nothing stays taken.
// Goroutines of one Client get a name first come first served. Between processes that is so on PostgreSQL, where the lock is
// handed to the first who waits (also to one that was killed just then: the others wait until its lease has run out);
// elsewhere there is no order but by Fair. After Acquire returns, ctx means nothing to the lock.
//
// Where ctx comes from a lock that is held (Lock.Context, Do, Once, Election.Run) and Acquire is in a deadlock, one of those who wait in the circle
// gets a *DeadlockError (errors.Is(err, ErrDeadlock)) after a second or two: the one that came last. A circle is found across
// processes, if all its waits are of that kind or say Holding, and of exclusive lease locks, leaders, or work that is done Once,
// of one database. Who waits for readers to leave, behind a writer that does, or for a permit, isn't looked at.
func (c *Client) Acquire(ctx context.Context, name string, opts ...Option) (*Lock, error) {
	w, err := c.wish(name, opts)
	if err != nil {
		return nil, err
	}
	return c.acquire(ctx, w)
}

// acquire is Acquire of what was wished for.
func (c *Client) acquire(ctx context.Context, w wish) (*Lock, error) {
	ctx = w.says(ctx)
	if held := heldIn(ctx); len(held) > 0 && !w.session && !w.semaphore {
		return c.watched(ctx, w, held)
	}
	return c.await(ctx, w)
}

// await stands in line until the lock is the caller's.
func (c *Client) await(ctx context.Context, w wish) (*Lock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, w.name, nil)
	}
	w = c.amongReaders(w)
	if w.shared && !w.session { // readers don't wait for each other, in line neither
		lock, _, err := c.attempt(ctx, w, c.contended(w.place()), func() {})
		if err == nil || !errors.Is(err, ErrNotAcquired) || ctx.Err() != nil {
			return lock, err
		}
	}
	ln, err := c.enter(ctx, w.place())
	if err != nil {
		return nil, err
	}
	v := newVigil(c, w, ln)
	defer v.end()
	for {
		lock, err := v.turn(ctx)
		if lock != nil {
			if !v.w.seat.taken() {
				lock.seat = v.w.seat
			}
			lock, err = v.alone(ctx, lock)
		}
		if lock != nil || err != nil {
			return lock, err
		}
	}
}

// attempt tries once to take the lock. It returns as soon as ctx ends; the statement that is under way by then goes
// on by itself, a lock that is granted to nobody is given back, and only after that after is called: outlived says so.
func (c *Client) attempt(ctx context.Context, w wish, looking bool, after func()) (lock *Lock, outlived bool, err error) {
	if ctx.Err() != nil {
		return nil, false, gaveUp(ctx, w.name, nil)
	}
	w = w.guess()
	if !looking && !w.session && !w.fair && !w.shared {
		if lock, outlived, looking, err = c.board(ctx, &w, after); lock != nil || err != nil {
			return lock, outlived, err
		}
	}
	lock, outlived, err = detached(ctx, c, func() (*Lock, error) { return c.take(ctx, w, looking) }, func(lock *Lock) {
		if lock != nil {
			lock.giveBack()
		}
		after()
	})
	if outlived {
		err = gaveUp(ctx, w.name, nil)
	}
	return lock, outlived, err
}

// detached does f in the background, where it goes on though ctx ends and the caller leaves: then what it answers goes to
// orphan, and outlived says so.
func detached[T any](ctx context.Context, c *Client, f func() (T, error), orphan func(T)) (answer T, outlived bool, err error) {
	if ctx.Done() == nil { // it never ends, and so nobody but the caller need do it: waking another costs more than the rest
		if !c.inPlace(func() { answer, err = f() }) {
			err = errClosed
		}
		return answer, false, err
	}
	type result struct {
		answer T
		err    error
	}
	done := make(chan result) // unbuffered: what is sent was received
	started := c.spawn(func() {
		answer, err := f()
		select {
		case done <- result{answer, err}:
		case <-ctx.Done():
			orphan(answer)
		}
	})
	if !started {
		return answer, false, errClosed
	}
	select {
	case r := <-done:
		return r.answer, false, r.err
	case <-ctx.Done():
		return answer, true, ctx.Err()
	}
}
