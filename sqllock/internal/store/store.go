// Package store is the only way from package sqllock to the database: the dialect's calls, retried
// and batched, and the goroutines that make them in the background.
//
// A [Store] decides for how long a call goes on, and never what its answer means:
//
//   - A call that the caller's ctx bounds is retried until ctx ends ([Store.Retry]).
//   - A call that must go on after the caller has left uses the context of [Store.Operation], which
//     has the caller's values and a deadline of its own.
//   - Calls of many callers are sent together in one statement while another one is in flight
//     ([Batcher]).
//
// Its methods are safe for concurrent use.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// ErrClosed is the error of every call on a closed [Store], and so on a closed Client.
var ErrClosed = errors.New("client closed")

// errClosed is ErrClosed as callers see it.
var errClosed = fmt.Errorf("sqllock: %w", ErrClosed)

// Store is the gateway to one database.
type Store struct {
	dialect.Dialect

	// The batched calls: see [Batcher].
	Acquires *Batcher[dialect.Request, dialect.Grant]
	Gets     *Batcher[dialect.Key, dialect.Row]
	Enqueues *Batcher[dialect.Waiter, dialect.QueuePosition]
	Releases *Batcher[dialect.Claim, bool]
	Dequeues *Batcher[dialect.Claim, bool]

	open         context.Context // ends when Shut is called
	shut         context.CancelFunc
	all          context.Context // ends when Wait returns, or when it cancels the remaining work
	cancel       context.CancelFunc
	lastDeadline atomic.Pointer[sharedDeadline]
	made         time.Time    // a nanosecond before New was called
	answered     atomic.Int64 // when the database last answered, in nanoseconds after made; zero if it never has
	proven       atomic.Bool  // see Proven
	reconnecting atomic.Bool  // Reconnect is at work, or was a moment ago

	mu     sync.Mutex // guards closed, and the order of closing and starting work
	closed bool
	work   sync.WaitGroup
}

// New returns a [Store] for d. Call [Store.Start] before any other method than the dialect's.
func New(d dialect.Dialect) *Store {
	s := &Store{Dialect: d, made: time.Now().Add(-1)}
	// Calls that come before a lock is held share one lane, and calls that come after it share
	// another, so two connections serve any number of callers.
	var before, after lane
	s.Acquires = newBatcher(s, &before, d.Acquire, func(r dialect.Request) dialect.Key { return r.Key })
	s.Gets = newBatcher(s, &before, d.Get, func(k dialect.Key) dialect.Key { return k })
	s.Enqueues = newBatcher(s, &before, d.Enqueue, func(w dialect.Waiter) dialect.Key { return w.Key })
	s.Releases = newBatcher(s, &after, d.Release, func(c dialect.Claim) dialect.Key { return c.Key })
	s.Dequeues = newBatcher(s, &after, d.Dequeue, func(c dialect.Claim) dialect.Key { return c.Key })
	// If waiters poll, they add a queue entry only after a quarter of a second, with a statement
	// each. Several of these, one after the other, would delay the acquires of their lane, so each
	// is sent at once.
	_, notifies := d.(dialect.Notifier)
	s.Gets.unbatched, s.Enqueues.unbatched, s.Dequeues.unbatched = !notifies, !notifies, !notifies
	return s
}

// SingleRowOnly makes each acquire and each release a statement of its own. Call it before the
// first of them.
func (s *Store) SingleRowOnly() { s.Acquires.unbatched, s.Releases.unbatched = true, true }

// Start gives the Store the values of ctx, but not its deadline or cancellation.
func (s *Store) Start(ctx context.Context) {
	s.all, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.open, s.shut = context.WithCancel(s.all)
}

// Open returns a context that ends when the Store is shut.
func (s *Store) Open() context.Context { return s.open }

// Answered notes that the database answered at that time. Batched calls note that themselves.
func (s *Store) Answered(at time.Time) { s.answered.Store(int64(at.Sub(s.made))) }

// LastAnswer returns when the database last answered, as far as that was noted, or the zero time.
func (s *Store) LastAnswer() time.Time {
	if after := s.answered.Load(); after != 0 {
		return s.made.Add(time.Duration(after))
	}
	return time.Time{}
}

// Ended reports whether the Store has ended, so that work still in progress was canceled.
func (s *Store) Ended() bool { return s.all != nil && s.all.Err() != nil }

// Shut lets no more work begin. Work that has begun goes on.
func (s *Store) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.shut()
}

// Wait waits for the work that has begun, and cancels it when ctx ends. The Store can't be used
// after that.
func (s *Store) Wait(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.cancel)
	s.work.Wait()
	stop()
	s.cancel()
}

// Spawn runs f in the background. It returns false, without running f, after Shut.
func (s *Store) Spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(f)
	return true
}

// RunInline is Spawn in the caller's own goroutine. It blocks until f has returned.
func (s *Store) RunInline(f func()) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()
	f()
	return true
}

// RunDetached runs f in the background and waits for its answer or for the end of ctx. If ctx ends
// first, RunDetached returns at once with abandoned set, f runs on, and its answer goes to
// onAbandoned.
func RunDetached[T any](
	ctx context.Context, s *Store, f func() (T, error), onAbandoned func(T),
) (answer T, abandoned bool, err error) {
	if ctx.Done() == nil {
		// ctx never ends, so the caller can run f itself: waking another goroutine costs more than
		// the rest.
		if !s.RunInline(func() { answer, err = f() }) {
			err = errClosed
		}
		return answer, false, err
	}
	done := make(chan Result[T]) // unbuffered, so a value that was sent was received
	started := s.Spawn(func() {
		answer, err := f()
		select {
		case done <- Result[T]{answer, err}:
		case <-ctx.Done():
			onAbandoned(answer)
		}
	})
	if !started {
		return answer, false, errClosed
	}
	select {
	case r := <-done:
		return r.Value, false, r.Err
	case <-ctx.Done():
		return answer, true, ctx.Err()
	}
}
