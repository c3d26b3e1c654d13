package sqllock

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// QuorumLock is a lock of a Quorum that is held, or was. Its methods are safe for concurrent use.
type QuorumLock struct {
	q      *Quorum
	name   string
	fence  int64
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex // guards what follows; never held while a database is asked
	votes    []*Lock
	granted  bool
	over     bool // lost, released, or never granted
	released bool
}

func newQuorumLock(caller context.Context, q *Quorum, name string) *QuorumLock {
	l := &QuorumLock{q: q, name: name}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(caller))
	return l
}

// Name is the lock's name.
func (l *QuorumLock) Name() string { return l.name }

// Fence is the acquisition's fencing token: greater than that of every acquisition of this name by the quorum that was granted
// before, whichever databases gave their votes and however their clocks differ. Only where a database has lost its data
// since, the clocks must have agreed to within QuorumOptions.MaxTTL. Send it with each request to what the lock protects, which
// has to keep the greatest it has seen, and to refuse smaller ones. Nothing else makes a request harmless that was held up
// on its way until the lock was another's.
func (l *QuorumLock) Fence() int64 { return l.fence }

// Context ends with cause ErrLost as soon as fewer votes can be trusted than a majority, and when the lock is released, with
// ErrNotHeld. A vote is trusted as Lock.Context says: until a while before its lease can run out, counted from before the last
// heartbeat that succeeded was sent, so what the acquisition took is taken off. A vote that was lost isn't asked for again: of
// five, two may be lost in a hold. It has the values of the ctx that the lock was acquired with, not its end.
func (l *QuorumLock) Context() context.Context { return l.ctx }

// trusted counts the votes that can be relied on. The caller holds mu.
func (l *QuorumLock) trusted(counts func(*Lock) bool) (n int) {
	for _, v := range l.votes {
		if counts(v) && v.check() == nil {
			n++
		}
	}
	return n
}

func every(*Lock) bool { return true }

// join adds a vote whose row has the lock's fence.
func (l *QuorumLock) join(vote *Lock) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return fmt.Errorf("sqllock: %w: %q: the vote came too late", ErrNotAcquired, l.name)
	}
	l.votes = append(l.votes, vote)
	context.AfterFunc(vote.Context(), func() { l.recount(context.Cause(vote.Context())) })
	return nil
}

// grant makes the lock the caller's, if a majority counts at this moment: see ballot.
func (l *QuorumLock) grant() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted = l.trusted(func(v *Lock) bool { return v.fence <= l.fence }) >= l.q.need
	return l.granted
}

// recount ends the lock if too few votes are left.
func (l *QuorumLock) recount(cause error) {
	l.mu.Lock()
	left := l.trusted(every)
	if !l.granted || l.over || left >= l.q.need {
		l.mu.Unlock()
		return
	}
	l.over = true
	votes := l.votes
	l.mu.Unlock()
	l.cancel(l.lost(left, len(votes), cause))
	l.q.log.Error("sqllock: quorum lock lost", "lock", l.name, "fence", l.fence, "votes", len(votes), "left", left, "why", cause)
	for _, v := range votes { // the rest is for others, but not before the holder has had time to hear of it
		v.c.spawn(func() {
			nap(v.c.open, margin(v.lease.ttl))
			_ = v.Release(context.WithoutCancel(l.ctx)) // it goes on by itself, or says that it was lost
		})
	}
}

func (l *QuorumLock) lost(left, of int, cause error) error {
	return fmt.Errorf("sqllock: %w: %q: of its %d votes %d can be trusted, and it needs %d: %w",
		ErrLost, l.name, of, left, l.q.need, cause)
}

// abandon gives back what was won for a lock that isn't granted.
func (l *QuorumLock) abandon() {
	l.mu.Lock()
	l.over = true
	votes := l.votes
	l.mu.Unlock()
	l.cancel(errors.New("sqllock: not granted"))
	for _, v := range votes {
		v.giveBack()
	}
}

// Release gives all votes back. It does so even if ctx has ended, and returns when so many are that another can have the lock;
// the others go on in the background, so databases that are down or slow don't keep it waiting as long as they are a minority.
// Otherwise it takes a few seconds at most, and an error from the databases says that it couldn't be confirmed yet: it goes on
// until it is, or the leases have run out. If the lock had been lost before, the error is ErrLost; a second call answers
// ErrNotHeld.
func (l *QuorumLock) Release(ctx context.Context) error {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		return fmt.Errorf("sqllock: %w: %q was released before", ErrNotHeld, l.name)
	}
	votes, left, before := l.votes, l.trusted(every), l.over
	l.released, l.over = true, true
	l.mu.Unlock()

	gone := before || left < l.q.need
	if gone {
		l.cancel(l.lost(left, len(votes), errors.New("found at its release"))) // unless it was told already
	}
	l.cancel(fmt.Errorf("sqllock: %w: %q was released", ErrNotHeld, l.name))
	answers := make(chan error, len(votes))
	for _, v := range votes {
		if !v.c.spawn(func() { answers <- v.Release(ctx) }) {
			answers <- nil // with its Client all its leases are gone
		}
	}
	if gone {
		return context.Cause(l.ctx)
	}
	return l.await(answers, len(votes))
}

// await waits until the votes that aren't given back are no more than a minority of the databases.
func (l *QuorumLock) await(answers chan error, votes int) error {
	var errs []error
	enough := votes - (len(l.q.members) - l.q.need)
	for range votes {
		switch err := <-answers; {
		case err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrClosed):
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
