package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// round is one try to get a majority's votes.
//
// The fence is determined in two phases. Each database that votes returns the fence of its row.
// When a majority has voted, the lock's fence is the greatest of these fences. It is written into
// the rows (dialect.Locks.AdvanceFence). The lock is granted when, at one moment, a majority of the
// votes is there, is trusted and counts. A vote counts if the lock's fence was written into its row
// and its own fence was not greater than that, as the fence of a vote may be that came after the
// lock's fence was determined.
//
// So the fence grows. Let i and j be two acquisitions that were granted, i before j. Both had a
// majority, so there is a database n whose vote counted for both. Votes of one row don't overlap,
// and each was trusted at the moment of its grant. So n's row was i's before it was j's, and held
// i's fence F(i), or more, by then. An acquisition of a row makes its fence greater, so the fence
// that n returned to j is greater than F(i). F(j) is no less than that. No clock matters to this.
// If a row is purged, its fence is behind its database's clock, and the next fence begins at that
// clock.
type round struct {
	q         *Quorum
	req       request.Request
	readFirst bool // the lock was held a moment ago
	ctx       context.Context
	cancel    context.CancelFunc
	pending   atomic.Int64 // number of members that are not done

	lock       *Lock
	fenceKnown chan struct{} // closed when the lock's fence is known
	events     chan event    // has room for all events
}

// errTooFew means that a vote is useless because there were too few others. Each vote causes two
// events also in this case, since count waits for both.
var errTooFew = fmt.Errorf("%w: too few votes came in time", sqllock.ErrNotAcquired)

// event reports the result of a member's vote. A vote that was given causes two events.
type event struct {
	member *member
	vote   vote  // set if the vote was given
	raised bool  // the lock's fence was written into its row
	err    error // set if there is no vote
}

// attempt asks all databases at the same time.
func (q *Quorum) attempt(ctx context.Context, req request.Request, readFirst bool) (*Lock, error) {
	if ctx.Err() != nil {
		return nil, q.gaveUp(ctx, req.Name)
	}
	b := &round{
		q: q, req: req, readFirst: readFirst, lock: newLock(ctx, q, req.Name),
		fenceKnown: make(chan struct{}), events: make(chan event, 2*len(q.members)),
	}
	// A database that answers late runs on without the caller.
	b.ctx, b.cancel = context.WithTimeout(context.WithoutCancel(ctx), voteWithin(req.TTL))
	b.pending.Store(int64(len(q.members)))
	awaited := q.worthWaiting()
	for _, m := range q.members {
		if !awaited[m] && m.absent() {
			b.events <- event{member: m, err: m.noAnswer("lately")}
			b.done()
			continue
		}
		if !m.c.Store().Spawn(func() { b.ask(m) }) {
			b.events <- event{member: m, err: m.failed(sqllock.ErrClosed)}
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

// worthWaiting returns the members to wait for. It leaves out those that were silent the last time,
// if the others are a majority. A caller that waits for silent members while it has less than a
// majority of the votes keeps others from a majority.
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

func (b *round) done() {
	if b.pending.Add(-1) == 0 {
		b.cancel()
	}
}

// ask gets one member's vote. A vote that comes after the lock was granted strengthens it.
func (b *round) ask(m *member) {
	defer b.done()
	lock, err := m.vote(b.ctx, b.req, b.readFirst)
	if !errors.Is(b.ctx.Err(), context.Canceled) { // it had its full time
		m.answered(b.ctx.Err() == nil)
	}
	given := vote{lock, m}
	b.events <- event{member: m, vote: given, err: err}
	if err != nil {
		return
	}
	select {
	case <-b.fenceKnown:
		err = m.advanceFence(b.ctx, lock, b.lock.fence)
	case <-b.ctx.Done():
		err = errTooFew
	case <-m.c.Store().Open().Done():
		err = m.failed(sqllock.ErrClosed)
	}
	if err == nil {
		err = b.lock.add(given)
	}
	if err != nil {
		given.discard()
	}
	b.events <- event{member: m, raised: true, err: err}
}

// count waits until the lock is granted or can no longer be granted.
func (b *round) count(ctx context.Context, awaited map[*member]bool) error {
	t := votes{errs: make(map[*member]error), awaited: awaited}
	for {
		select {
		case n := <-b.events:
			t.add(n)
		case <-ctx.Done():
			return b.q.gaveUp(ctx, b.req.Name)
		}
		if t.votes >= b.q.need && b.lock.fence == 0 {
			b.lock.fence = t.fence
			close(b.fenceKnown)
		}
		switch all := len(b.q.members); {
		case t.raised >= b.q.need && b.lock.grant():
			return nil
		case t.failed > all-b.q.need, t.raised+t.failed == all, len(t.awaited) == 0 && t.votes < b.q.need:
			return t.why(b)
		}
	}
}

// votes counts what is known of the votes.
type votes struct {
	awaited map[*member]bool // members without an event yet
	votes   int              // votes that were given, some of which may have been lost since
	fence   int64            // the greatest fence of these votes
	raised  int              // votes whose rows have the lock's fence
	failed  int
	errs    map[*member]error
}

func (t *votes) add(n event) {
	delete(t.awaited, n.member)
	switch {
	case n.err != nil:
		t.failed++
		if !errors.Is(n.err, errTooFew) { // the vote itself did not fail
			t.errs[n.member] = n.err
		}
	case n.raised:
		t.raised++
	default:
		t.votes++
		t.fence = max(t.fence, n.vote.Fence())
		t.errs[n.member] = nil
	}
}

// why returns the error of a try that has failed.
func (t *votes) why(b *round) error {
	e := &quorumError{name: b.req.Name, need: b.q.need}
	for _, m := range b.q.members {
		switch err, known := t.errs[m]; {
		case !known:
			e.errs = append(e.errs, m.timeoutError())
		case err != nil:
			e.errs = append(e.errs, err)
			if held, ok := errors.AsType[*sqllock.HeldError](err); ok {
				e.held = append(e.held, refusal{m, held})
			}
		default:
			e.votes++
		}
	}
	return e
}

// quorumError means that there was no majority.
type quorumError struct {
	name        string
	votes, need int
	errs        []error   // of the databases that gave no vote, or a vote that didn't count
	held        []refusal // of the databases in which another holds the lock
}

// refusal says who holds the lock in a database.
type refusal struct {
	member *member
	by     *sqllock.HeldError
}

// Error says of each database why it gave no vote.
func (e *quorumError) Error() string {
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

// Unwrap returns the errors of the databases that gave no vote.
func (e *quorumError) Unwrap() []error {
	if e.votes >= e.need {
		return append(slices.Clone(e.errs), sqllock.ErrNotAcquired)
	}
	return e.errs
}

// by returns a holder of the lock if all holders that were found differ from those seen before, and
// otherwise nil. It compares each database with itself, because the same acquisition may have
// another fence in another database. It records all holders in seen.
func (e *quorumError) by(seen map[*member]*sqllock.HeldError) (other *sqllock.HeldError) {
	if len(e.held) > 0 {
		other = e.held[0].by
	}
	for _, h := range e.held {
		if sameHolder(h.by, seen[h.member]) {
			other = nil
		}
		seen[h.member] = h.by
	}
	return other
}

// permanent reports whether trying again can't help, because too many of the databases have a
// permanent error.
func (e *quorumError) permanent(all int) bool {
	n := 0
	for _, err := range e.errs {
		if errors.Is(err, sqllock.ErrInvalid) || errors.Is(err, sqllock.ErrUnsupported) ||
			errors.Is(err, sqllock.ErrSchema) || errors.Is(err, sqllock.ErrClosed) {
			n++
		}
	}
	return n > all-e.need
}

// sameHolder reports whether both describe the same acquisition, as far as can be seen. b may be
// nil.
func sameHolder(a, b *sqllock.HeldError) bool {
	return b != nil && a.Holder == b.Holder && a.Fence == b.Fence && a.Since.Equal(b.Since)
}
