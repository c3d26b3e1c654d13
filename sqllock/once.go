package sqllock

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Once sees to it that the work for a key is done to success once, and answers its outcome: that of this call, or the one that is
// remembered from another, here or in another process. Who comes while the work is under way waits for that, until ctx ends;
// then the error is as Acquire's. What is waited for is a lock of the key's own, which has nothing to do with the lock of
// that name. To call Once for a key from within its own fn is an ErrDeadlock, and so is a longer circle (see Acquire), where
// the ctx of fn is passed on; without it, it waits until its ctx ends.
//
// If fn fails, Once answers its error, nothing is remembered, and the next caller does the work (but see RememberFailure). The
// ctx that fn gets ends with ctx, and with cause ErrLost when the lock can't be trusted any longer: as soon as the lease has
// run out another caller does the work, so fn should heed its ctx. If fn goes on nevertheless, or had just finished, the
// effects of the work may have happened twice. The first outcome that is written wins, and everybody gets that one. Where fn
// writes to this database, Guard it with lock in its transaction, or use OnceTx, which rules that out; what keeps fences can
// refuse the older lock.Fence().
//
// The result is remembered for DefaultKeep, or as KeepOutcome says. If the work was done and its outcome can't be written, the error
// is an ErrNotRemembered, and the result is in the Outcome all the same: since the database failed for several seconds, since
// the Client was closed, or since the result is longer than MaxResultBytes (an ErrInvalid, too). It may then be done again.
// If fn panics, the lock is released, and the panic goes on.
//
// The keys are those of OnceTx, too; but one doesn't wait for the other's work, so use one of the two for a key.
func (c *Client) Once(ctx context.Context, key string, fn func(ctx context.Context, lock *Lock) ([]byte, error),
	opts ...OnceOption,
) (Outcome, error) {
	e, err := c.errand(key, fn == nil, opts)
	if err != nil {
		return Outcome{}, err
	}
	return c.once(ctx, e, c.Acquire, fn)
}

// once does the work under a lock that it gets by acquire, if nothing is remembered.
func (c *Client) once(ctx context.Context, e errand, acquire func(context.Context, string, ...Option) (*Lock, error),
	fn func(context.Context, *Lock) ([]byte, error),
) (out Outcome, err error) {
	o, err := c.recall(ctx, e)
	if err != nil {
		return Outcome{}, err
	}
	if o.Kept {
		return e.answer(o, true)
	}
	lock, err := acquire(ctx, e.key, e.lockOptions()...)
	if err != nil {
		return Outcome{}, err
	}
	var result []byte
	err = lock.while(ctx, func(ctx context.Context) (err error) {
		if o, err = c.recall(ctx, e); err != nil || o.Kept { // it may have been done while this one waited for the lock
			return err
		}
		result, err = fn(ctx, lock)
		// ctx may hear of the lock's end a moment after fn, which has the lock.
		if err != nil && (!e.failures || ctx.Err() != nil || lock.check() != nil) {
			return err
		}
		var failed error
		if o, failed = c.conclude(ctx, e, lock, result, err); failed != nil {
			err = errors.Join(err, failed)
		}
		return err
	})
	switch {
	case !o.Kept:
		return Outcome{Result: result}, err
	case o.Failed && o.Fence == lock.Fence():
		return Outcome{At: o.At}, err // the first time, it is the error itself
	}
	return e.answer(o, o.Fence != lock.Fence()) // that the lock was lost meanwhile doesn't matter any more
}

// conclude remembers what became of the work.
func (c *Client) conclude(ctx context.Context, e errand, lock *Lock, result []byte, err error) (dialect.Outcome, error) {
	done := dialect.Done{Name: e.key, Fence: lock.Fence(), Result: result, Keep: toMicros(e.keep)}
	if err != nil {
		done.Failed, done.Result = true, failure(err)
	} else if err := e.checkResult(result); err != nil {
		return dialect.Outcome{}, fmt.Errorf("%w: %w", ErrNotRemembered, err)
	}
	o, err := c.remember(ctx, done)
	if err == nil && o.Fence != done.Fence {
		c.log.Warn("sqllock: work was done twice, since its lock was lost meanwhile; the first outcome holds", "key", e.key,
			"fence", done.Fence, "first", o.Fence)
	}
	return o, err
}

// remember writes the outcome, though ctx has ended.
func (c *Client) remember(ctx context.Context, done dialect.Done) (o dialect.Outcome, err error) {
	started := c.inPlace(func() {
		_, err = c.retry(c.operation(ctx), func(ctx context.Context) (err error) {
			o, err = one(c.dialect.Remember(ctx, []dialect.Done{done}))
			return err
		})
	})
	switch {
	case !started:
		return o, fmt.Errorf("sqllock: %w: the work for %q: %w", ErrNotRemembered, done.Name, ErrClosed)
	case err != nil:
		return o, fmt.Errorf("%w: %w", ErrNotRemembered, c.failed(fmt.Sprintf("remembering the outcome of %q", done.Name), err))
	}
	return o, nil
}
