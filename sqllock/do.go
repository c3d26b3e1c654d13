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
	return lock.while(ctx, func(ctx context.Context) error { return fn(ctx, lock) })
}

// while runs f with a ctx that ends with the lock, too, and releases the lock, also if f panics.
func (l *Lock) while(ctx context.Context, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithCancelCause(&holding{ctx, heldIn(l.Context())})
	defer cancel(nil)
	stop := context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })
	defer func() {
		stop()
		err = also(err, l.Release(ctx))
	}()
	return f(ctx)
}

// also is err and released, unless err says so already.
func also(err, released error) error {
	if released == nil || errors.Is(err, released) {
		return err
	}
	return errors.Join(err, released)
}
