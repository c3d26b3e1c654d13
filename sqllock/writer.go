package sqllock

import (
	"context"
	"time"
)

// Polls of a writer whose flag is up: those who read are on their way out, and nobody comes any more.
const (
	firstLeaving = 5 * time.Millisecond
	maxLeaving   = 100 * time.Millisecond
)

// joinsWriters goes on as one of the writers, if the error says that the name has readers.
func (v *vigil) joinsWriters(err error) bool {
	if !meetsReaders(err) || !v.w.mayWrite() {
		return false
	}
	v.heir.withdraw(v.c)
	v.w.seat.leave()
	v.heir, v.w.seat, v.w.slot = nil, nil, slotWriter
	return true
}

// mayWrite tells whether the wish is for an exclusive lock, which is the writers' where the name has readers.
func (w wish) mayWrite() bool {
	return !w.session && !w.semaphore && !w.shared && w.slot == slotExclusive && w.use == useLock
}

// alone waits until nobody reads any more, if the lock is a writer's. Neither lock nor error: it was lost meanwhile.
func (v *vigil) alone(ctx context.Context, lock *Lock) (*Lock, error) {
	if lock == nil || !lock.writes() {
		return lock, nil
	}
	v.w.seat.leave()
	v.w.seat = nil
	for poll := firstLeaving; ; poll = min(poll*3/2, maxLeaving) {
		err := v.c.readersLeft(ctx, lock)
		switch {
		case err == nil && lock.check() == nil:
			return lock, nil
		case lock.check() != nil && ctx.Err() == nil:
			lock.giveBack()
			return nil, nil
		case ctx.Err() != nil || !v.found(err) || !v.rest(ctx, poll):
			lock.giveBack()
			return nil, v.whyLeft(ctx, err)
		}
	}
}

// rest waits for a reader of this process to leave, and for no longer than d. False: there is no use in waiting.
func (v *vigil) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-v.line.freed:
	case <-ctx.Done():
		return false
	case <-v.c.open.Done():
		return false
	}
	return true
}

// whyLeft is the error of who gives up.
func (v *vigil) whyLeft(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return gaveUp(ctx, v.w.name, v.held)
	case v.c.open.Err() != nil:
		return errClosed
	}
	return err
}

// aloneNow is a writer's lock if nobody reads; else it is released.
func (c *Client) aloneNow(ctx context.Context, lock *Lock) (*Lock, error) {
	_, outlived, err := detached(ctx, c, func() (none struct{}, err error) {
		opCtx := c.operation(ctx)
		if err = c.noReader(opCtx, lock); err == nil && lock.check() != nil {
			err = lock.lease.tooLate(lock.Name())
		}
		if err != nil {
			lock.surrender(opCtx)
		}
		return none, err
	}, func(struct{}) { lock.giveBack() })
	switch {
	case outlived:
		return nil, gaveUp(ctx, lock.Name(), nil)
	case err != nil:
		lock.giveBack() // if it never began
		return nil, err
	}
	return lock, nil
}

// surrender releases a lock that came to nothing. What fails goes on in the background.
func (l *Lock) surrender(ctx context.Context) {
	if err := l.Release(ctx); err != nil {
		l.c.log.Debug("sqllock: giving a lock back", "lock", l.Name(), "err", err)
	}
}

// readersLeft is nil if nobody reads, for a writer whose flag is up. It returns as soon as ctx ends.
func (c *Client) readersLeft(ctx context.Context, lock *Lock) error {
	_, _, err := detached(ctx, c, func() (none struct{}, err error) { return none, c.noReader(c.operation(ctx), lock) }, func(struct{}) {})
	return err
}
