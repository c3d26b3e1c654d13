package sqllock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// ballot is one try to get a majority's votes.
//
// The fence has two phases. Each database that gives its vote answers the fence of its row. When a majority has, the lock's
// fence is the greatest of theirs; it is written into the rows (dialect.Raise), and the lock is granted when, at one moment, a
// majority of the votes is there, trusted, and counts: its row was raised, and its own fence was not greater than the
// lock's, as that of a vote may be which came after the fence was settled.
//
// So it grows. Of two acquisitions i and j that were granted, both have a majority, and so there is a database n whose vote
// counted for both. Votes of one row don't overlap, and each was trusted at the moment of its grant: if i was granted before j,
// then n's row was i's before it was j's, and held i's fence F(i) by then, or more. An acquisition of a row makes its
// fence greater: what n answered to j is more than F(i), and F(j), which is no less than that, is too. No clock matters to
// this. A row that is purged has a fence behind its database's clock, where the next one will begin.
type ballot struct {
	q       *Quorum
	w       wish
	looking bool // the lock was held a moment ago
	ctx     context.Context
	cancel  context.CancelFunc
	left    atomic.Int64 // members that aren't done

	lock    *QuorumLock
	settled chan struct{} // closed when the lock's fence is
	news    chan news     // with room for all
}

// errTooFew: the vote is of no use, since the others were too few. Every vote that was given is heard of twice, also then:
// count waits for that.
var errTooFew = fmt.Errorf("%w: too few votes came in time", ErrNotAcquired)

// news is what has come of a member's vote: two of one that counts.
type news struct {
	member *member
	vote   *Lock // it was given
	raised bool  // and has become the lock's
	err    error // there is none
}

// attempt asks all databases at once.
func (q *Quorum) attempt(ctx context.Context, w wish, looking bool) (*QuorumLock, error) {
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, w.name, nil)
	}
	b := &ballot{
		q: q, w: w, looking: looking, lock: newQuorumLock(ctx, q, w.name),
		settled: make(chan struct{}), news: make(chan news, 2*len(q.members)),
	}
	// Who answers late goes on without the caller.
	b.ctx, b.cancel = context.WithTimeout(context.WithoutCancel(ctx), voteWithin(w.ttl))
	b.left.Store(int64(len(q.members)))
	awaited := q.worthWaiting()
	for _, m := range q.members {
		if !awaited[m] && m.absent() {
			b.news <- news{member: m, err: fmt.Errorf("%s: no answer lately", m)}
			b.done()
			continue
		}
		if !m.c.spawn(func() { b.ask(m) }) {
			b.news <- news{member: m, err: m.failed(ErrClosed)}
			b.done()
		}
	}
	if err := b.count(ctx, awaited); err != nil {
		b.cancel()
		b.lock.abandon()
		return nil, err
	}
	return b.lock, nil
}

// worthWaiting are the members to wait for: not those who were silent the last time, if the others are enough. Who waits for
// them, with votes that are no majority, keeps others from one.
func (q *Quorum) worthWaiting() map[*member]bool {
	awaited := make(map[*member]bool)
	for _, m := range q.members {
		if !m.silent.Load() {
			awaited[m] = true
		}
	}
	if len(awaited) < q.need {
		for _, m := range q.members {
			awaited[m] = true
		}
	}
	return awaited
}

func (b *ballot) done() {
	if b.left.Add(-1) == 0 {
		b.cancel()
	}
}

// ask gets one member's vote. One that comes when the lock is granted already makes it the stronger.
func (b *ballot) ask(m *member) {
	defer b.done()
	vote, err := m.vote(b.ctx, b.w, b.looking)
	if !errors.Is(b.ctx.Err(), context.Canceled) { // it was given the time
		m.answered(b.ctx.Err() == nil)
	}
	b.news <- news{member: m, vote: vote, err: err}
	if err != nil {
		return
	}
	select {
	case <-b.settled:
		err = m.raise(b.ctx, vote, b.lock.fence)
	case <-b.ctx.Done():
		err = errTooFew
	case <-m.c.open.Done():
		err = m.failed(ErrClosed)
	}
	if err == nil {
		err = b.lock.join(vote)
	}
	if err != nil {
		vote.giveBack()
	}
	b.news <- news{member: m, raised: true, err: err}
}

// count waits until the lock is granted, or can't be any more.
func (b *ballot) count(ctx context.Context, awaited map[*member]bool) error {
	t := tally{errs: make(map[*member]error), awaited: awaited}
	for {
		select {
		case n := <-b.news:
			t.hear(n)
		case <-ctx.Done():
			return gaveUp(ctx, b.w.name, nil)
		}
		if t.votes >= b.q.need && b.lock.fence == 0 {
			b.lock.fence = t.fence
			close(b.settled)
		}
		switch all := len(b.q.members); {
		case t.raised >= b.q.need && b.lock.grant():
			return nil
		case t.failed > all-b.q.need, t.raised+t.failed == all, len(t.awaited) == 0 && t.votes < b.q.need:
			return t.why(b)
		}
	}
}

// tally is what has been heard of the votes.
type tally struct {
	awaited map[*member]bool // those to hear of yet
	votes   int              // that were given, though some may have been lost again
	fence   int64            // the greatest of theirs
	raised  int
	failed  int
	errs    map[*member]error
}

func (t *tally) hear(n news) {
	delete(t.awaited, n.member)
	switch {
	case n.err != nil:
		t.failed++
		if !errors.Is(n.err, errTooFew) { // that isn't for want of its vote
			t.errs[n.member] = n.err
		}
	case n.raised:
		t.raised++
	default:
		t.votes++
		t.fence = max(t.fence, n.vote.fence)
		t.errs[n.member] = nil
	}
}

// why is the error of a try that has failed.
func (t *tally) why(b *ballot) error {
	e := &outvoted{name: b.w.name, need: b.q.need}
	for _, m := range b.q.members {
		switch err, heard := t.errs[m]; {
		case !heard:
			e.errs = append(e.errs, m.late())
		case err != nil:
			e.errs = append(e.errs, err)
			if held, ok := errors.AsType[*HeldError](err); ok {
				e.held = append(e.held, refusal{m, held})
			}
		default:
			e.votes++
		}
	}
	return e
}

// outvoted: there was no majority.
type outvoted struct {
	name        string
	votes, need int
	errs        []error // of those that gave no vote, or one that didn't count
	held        []refusal
}

// refusal is who was found in a database to hold the lock.
type refusal struct {
	member *member
	by     *HeldError
}

// Error tells of each database why it gave no vote.
func (e *outvoted) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sqllock: lock %q has %d votes of the quorum, and needs %d", e.name, e.votes, e.need)
	if e.votes >= e.need {
		b.WriteString(" that came in time")
	}
	for i, err := range e.errs {
		b.WriteString([]string{": ", "; "}[min(i, 1)] + err.Error())
	}
	return b.String()
}

// Unwrap is why each gave no vote.
func (e *outvoted) Unwrap() []error {
	if e.votes >= e.need {
		return append(slices.Clone(e.errs), ErrNotAcquired)
	}
	return e.errs
}

// by tells who holds the lock, if all who were found to are others than those seen before. Each database must be compared
// with itself: the same acquisition may have another fence there. It takes note of all.
func (e *outvoted) by(seen map[*member]*HeldError) (other *HeldError) {
	if len(e.held) > 0 {
		other = e.held[0].by
	}
	for _, h := range e.held {
		if h.by.sameAs(seen[h.member]) {
			other = nil
		}
		seen[h.member] = h.by
	}
	return other
}

// hopeless: to try again won't help, since there is something wrong with too many of them.
func (e *outvoted) hopeless(all int) bool {
	n := 0
	for _, err := range e.errs {
		if errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrSchema) || errors.Is(err, ErrClosed) {
			n++
		}
	}
	return n > all-e.need
}
