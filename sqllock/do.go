package sqllock

import (
	"context"
	"errors"
)

// Do acquires the lock, waiting for it until ctx ends, runs fn, and releases the lock, also if fn panics. The ctx
// that fn gets ends with ctx, and with cause ErrLost when the lock is lost. The error is fn's and Release's,
// joined: a lock that was lost while fn ran is an ErrLost even if fn returned nil.
func (c *Client) Do(ctx context.Context, name string, fn func(ctx context.Context, lock *Lock) error, opts ...Option) (err error) {
	if fn == nil {
		return invalid("the function to do under lock %q is nil", name)
	}
	lock, err := c.Acquire(ctx, name, opts...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(lock.Context(), func() { cancel(context.Cause(lock.Context())) })
	defer func() {
		stop()
		if released := lock.Release(ctx); released != nil && !errors.Is(err, released) {
			err = errors.Join(err, released)
		}
	}()
	return fn(ctx, lock)
}
