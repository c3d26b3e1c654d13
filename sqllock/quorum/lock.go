package quorum

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Lock is an acquired lock of a [Quorum], held until it is released or lost. Its methods are
// safe for concurrent use.
type Lock struct {
	q      *Quorum
	name   string
	fence  int64
	ctx    clock.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex // guards the fields below; not held during a database call
	votes    []vote
	granted  bool
	over     bool // lost, released, or never granted
	released bool
}

// vote is a lock in one of the databases.
type vote struct {
	*sqllock.Lock
	from *member
}

func (v vote) store() *store.Store { return v.from.c.Store() }
func (v vote) err() error          { return v.from.c.LockErr(v.Lock) }
func (v vote) discard()            { v.from.c.Discard(v.Lock) }

func (v vote) ttl() time.Duration {
	_, ttl := v.from.c.Lease(v.Lock)
	return ttl
}

func newLock(caller context.Context, q *Quorum, name string) *Lock {
	l := &Lock{q: q, name: name}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(caller))
	l.ctx, l.cancel = clock.Context{Context: ctx, Of: (*lockEnder)(l)}, cancel
	return l
}

// Name returns the lock's name.
func (l *Lock) Name() string { return l.name }

// Fence returns the fencing token of this acquisition. It is greater than the token of every
// acquisition of this name that the quorum granted before, whichever databases voted and however
// their clocks differ. There is one condition: if a database has lost its data since, the
// databases' clocks must have agreed to within [Options].MaxTTL.
//
// Send it with each request to the resource that the lock protects. The resource has to keep the
// greatest token that it has seen and refuse smaller ones. Nothing else protects the resource from
// a request that was held up on its way until another process had the lock.
func (l *Lock) Fence() int64 { return l.fence }

// Context returns a context that ends with cause [sqllock.ErrLost] as soon as fewer votes than a
// majority can be trusted, and with cause [sqllock.ErrNotHeld] when the lock is released. It has
// the values of the ctx that the lock was acquired with, but not its deadline or cancellation.
//
// A vote is trusted as [sqllock.Lock.Context] describes: until some time before its lease can
// expire, counted from before the last successful heartbeat was sent. So the time that the
// acquisition took shortens the time for which the vote is trusted. A vote that was lost is not
// asked for again: of five votes, two may be lost while the lock is held.
func (l *Lock) Context() context.Context { return &l.ctx }

// lockEnder ends the lock's context.
type lockEnder Lock

// EndIfLost ends the context if too few votes can be relied on.
func (e *lockEnder) EndIfLost() {
	l := (*Lock)(e)
	if l.ctx.Context.Err() == nil {
		l.recount(nil)
	}
}

// trusted returns the number of votes that can be relied on and that counts accepts. The caller
// holds mu.
func (l *Lock) trusted(counts func(vote) bool) (n int) {
	for _, v := range l.votes {
		if counts(v) && v.err() == nil {
			n++
		}
	}
	return n
}

func every(vote) bool { return true }

// add adds a vote whose row has the lock's fence.
func (l *Lock) add(vote vote) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return fmt.Errorf("sqllock: %w: %q: the vote came too late", sqllock.ErrNotAcquired, l.name)
	}
	l.votes = append(l.votes, vote)
	context.AfterFunc(vote.Context(), func() { l.recount(context.Cause(vote.Context())) })
	return nil
}

// grant makes the lock the caller's if a majority of votes counts at this moment: see round.
func (l *Lock) grant() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted = l.trusted(func(v vote) bool { return v.Fence() <= l.fence }) >= l.q.need
	return l.granted
}

// recount ends the lock if too few votes are left. If cause is nil, it uses the error of the first
// vote that was lost.
func (l *Lock) recount(cause error) {
	l.mu.Lock()
	left := l.trusted(every)
	if !l.granted || l.over || left >= l.q.need {
		l.mu.Unlock()
		return
	}
	l.over = true
	votes := l.votes
	l.mu.Unlock()
	for i := 0; cause == nil; i++ {
		cause = votes[i].err()
	}
	l.cancel(l.lost(left, len(votes), cause))
	l.q.log.Error("sqllock: quorum lock lost",
		"lock", l.name, "fence", l.fence, "votes", len(votes), "left", left, "why", cause)
	// Release the other votes, but give the holder time to notice the end of its context first.
	for _, v := range votes {
		v.store().Spawn(func() {
			store.Sleep(v.store().Open(), clock.Margin(v.ttl()))
			_ = v.Release(context.WithoutCancel(l.Context())) // it is retried in the background, or the vote was lost
		})
	}
}

func (l *Lock) lost(left, of int, cause error) error {
	return fmt.Errorf("sqllock: %w: %q: of its %d votes %d can be trusted, and it needs %d: %w",
		sqllock.ErrLost, l.name, of, left, l.q.need, cause)
}

// abandon releases the votes that were won for a lock that isn't granted.
func (l *Lock) abandon() {
	l.mu.Lock()
	l.over = true
	votes := l.votes
	l.mu.Unlock()
	l.cancel(errors.New("sqllock: not granted"))
	for _, v := range votes {
		v.discard()
	}
}

// Release releases all votes. It also works if ctx has ended. It returns when so many votes are
// released that another can get the lock, and releases the others in the background. So a minority
// of databases that are down or slow does not delay it. If more are down, it blocks for a few
// seconds at most and returns an error that says that the release could not be confirmed yet; it is
// retried in the background until it is confirmed or the leases have expired. If the lock had been
// lost before, the error is [sqllock.ErrLost]. A second call returns [sqllock.ErrNotHeld].
func (l *Lock) Release(ctx context.Context) error {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return fmt.Errorf("sqllock: %w: %q was released before", sqllock.ErrNotHeld, l.name)
	}
	votes, left, before := l.votes, l.trusted(every), l.over
	l.released, l.over = true, true
	l.mu.Unlock()

	gone := before || left < l.q.need
	if gone {
		// This has no effect if the context ended before.
		l.cancel(l.lost(left, len(votes), errors.New("found at its release")))
	}
	l.cancel(fmt.Errorf("sqllock: %w: %q was released", sqllock.ErrNotHeld, l.name))
	answers := make(chan error, len(votes))
	for _, v := range votes {
		if !v.store().Spawn(func() { answers <- v.Release(ctx) }) {
			answers <- nil // a closed Client has released all its leases
		}
	}
	if gone {
		return context.Cause(l.ctx.Context)
	}
	return l.await(answers, len(votes))
}

// await waits until the votes that are not released yet are no more than a minority of the
// databases.
func (l *Lock) await(answers chan error, votes int) error {
	var errs []error
	enough := votes - (len(l.q.members) - l.q.need)
	for range votes {
		switch err := <-answers; {
		case err != nil && !errors.Is(err, sqllock.ErrLost) && !errors.Is(err, sqllock.ErrClosed):
			errs = append(errs, err)
		default:
			enough--
		}
		if enough == 0 {
			return nil
		}
	}
	return fmt.Errorf("sqllock: releasing quorum lock %q: %w", l.name, errors.Join(errs...))
}
