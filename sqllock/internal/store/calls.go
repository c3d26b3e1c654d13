package store

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// The calls below are the dialect's calls for one element, retried until ctx ends.

// Retried calls call with retries and returns its last answer: see [Store.Retry].
func Retried[A any](
	ctx context.Context, s *Store, call func(context.Context) (A, error),
) (answer A, inDoubt bool, err error) {
	inDoubt, err = s.Retry(ctx, func(ctx context.Context) (err error) {
		answer, err = call(ctx)
		return err
	})
	return answer, inDoubt, err
}

// Rows reads the rows of the keys.
func (s *Store) Rows(ctx context.Context, keys ...dialect.Key) ([]dialect.Row, error) {
	rows, _, err := Retried(ctx, s, func(ctx context.Context) ([]dialect.Row, error) { return s.Get(ctx, keys) })
	return rows, err
}

// Waiting reads up to limit waiters of the queue with that key.
func (s *Store) Waiting(ctx context.Context, key dialect.Key, limit int) ([]dialect.Waiting, error) {
	queue, _, err := Retried(ctx, s, func(ctx context.Context) ([]dialect.Waiting, error) {
		return s.Queue(ctx, key, limit)
	})
	return queue, err
}

// TransferLock hands a lock off to another acquisition of this process.
func (s *Store) TransferLock(ctx context.Context, t dialect.Transfer) (grant dialect.Grant, inDoubt bool, err error) {
	return Retried(ctx, s, func(ctx context.Context) (dialect.Grant, error) {
		return One(s.Transfer(ctx, []dialect.Transfer{t}))
	})
}

// AcquireAlone acquires a lock in a statement of its own.
func (s *Store) AcquireAlone(ctx context.Context, r dialect.Request) (dialect.Grant, error) {
	grant, _, err := Retried(ctx, s, func(ctx context.Context) (dialect.Grant, error) {
		return One(s.Acquire(ctx, []dialect.Request{r}))
	})
	return grant, err
}

// ReleaseLock releases a lock, in a batch where that pays. A batch skips a row that a transaction
// guards, which then looks as if another held the lock. Alone, the release waits for that
// transaction.
func (s *Store) ReleaseLock(ctx context.Context, claim dialect.Claim) (ours, inDoubt bool, err error) {
	return Retried(ctx, s, func(ctx context.Context) (bool, error) { return s.ReleaseOnce(ctx, claim) })
}

// ReleaseOnce is ReleaseLock without retries.
func (s *Store) ReleaseOnce(ctx context.Context, claim dialect.Claim) (ours bool, err error) {
	if ours, err = s.Releases.Do(ctx, claim); err != nil || ours {
		return ours, err
	}
	return One(s.Release(ctx, []dialect.Claim{claim}))
}

// BreakLock ends an acquisition, whatever its holder does, and records that. It reports whether it
// did, also if the reply to an earlier try was lost.
func (s *Store) BreakLock(ctx context.Context, b dialect.Break) (broken bool, err error) {
	broken, _, err = Retried(ctx, s, func(ctx context.Context) (bool, error) {
		return One(s.Break(ctx, []dialect.Break{b}))
	})
	return broken, err
}

// BreaksOf reads up to limit breaks of locks of that name, the last one first.
func (s *Store) BreaksOf(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	broken, _, err := Retried(ctx, s, func(ctx context.Context) ([]dialect.Broken, error) {
		return s.ListBreaks(ctx, name, limit)
	})
	return broken, err
}

// EnqueueWaiter adds a waiter to the queue. inDoubt reports that it may be added late: see
// [Store.Retry].
func (s *Store) EnqueueWaiter(ctx context.Context, w dialect.Waiter) (inDoubt bool, err error) {
	_, inDoubt, err = Retried(ctx, s, func(ctx context.Context) (dialect.QueuePosition, error) {
		return s.Enqueues.Do(ctx, w)
	})
	return inDoubt, err
}

// DequeueWaiter removes a waiter from the queue. It reports whether the waiter was there.
func (s *Store) DequeueWaiter(ctx context.Context, claim dialect.Claim) (was bool, err error) {
	was, _, err = Retried(ctx, s, func(ctx context.Context) (bool, error) { return s.Dequeues.Do(ctx, claim) })
	return was, err
}

// RemoveLeases deletes the leases, which releases everything that is held under them.
func (s *Store) RemoveLeases(ctx context.Context, ids []string) error {
	_, err := s.Retry(ctx, func(ctx context.Context) error { return s.DeleteLeases(ctx, ids) })
	return err
}

// RecallOutcome reads the remembered outcome of the work for a key.
func (s *Store) RecallOutcome(ctx context.Context, key string) (dialect.Outcome, error) {
	o, _, err := Retried(ctx, s, func(ctx context.Context) (dialect.Outcome, error) {
		return One(s.Recall(ctx, []string{key}))
	})
	return o, err
}

// RememberOutcome writes the outcome of the work for a key, unless one is remembered, and returns
// the one that is remembered now.
func (s *Store) RememberOutcome(ctx context.Context, done dialect.Done) (dialect.Outcome, error) {
	o, _, err := Retried(ctx, s, func(ctx context.Context) (dialect.Outcome, error) {
		return One(s.Remember(ctx, []dialect.Done{done}))
	})
	return o, err
}

// One returns the answer for a single element.
func One[A any](answers []A, err error) (a A, _ error) {
	if err != nil {
		return a, err
	}
	return answers[0], nil
}
