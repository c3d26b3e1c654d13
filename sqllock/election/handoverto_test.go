package election_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// party is several candidates of one election, and what each of them logs.
type party struct {
	journals map[string]*journal
	terms    atomic.Int64 // number of terms that have begun
	stops    map[string]context.CancelFunc
	done     map[string]<-chan error
}

func newParty() *party {
	return &party{
		journals: map[string]*journal{}, stops: map[string]context.CancelFunc{}, done: map[string]<-chan error{},
	}
}

// join runs one more candidate, and waits until it leads or is in the queue.
func (p *party) join(
	t *testing.T, db dialect.Dialect, name string, polls bool, opts ...election.Option,
) *election.Election {
	t.Helper()
	j := &journal{}
	clientOpts := []func(*sqllock.Options){logged(j)}
	if polls {
		clientOpts = append(clientOpts, pollOnly)
	}
	e := candidate(t, client(t, db, name, clientOpts...), opts...)
	ctx, cancel := context.WithCancel(t.Context())
	p.journals[name], p.stops[name] = j, cancel
	p.done[name] = runs(ctx, e, func(ctx context.Context, term *election.Term) error {
		p.terms.Add(1)
		return untilEnd(ctx, term)
	})
	time.Sleep(time.Second)
	return e
}

// stop ends one of the candidates.
func (p *party) stop(t *testing.T, name string) {
	t.Helper()
	p.stops[name]()
	wantErr(t, "Run of "+name, <-p.done[name], nil)
	delete(p.stops, name)
}

// end ends all candidates at once. It makes no difference which of them leads and which waits.
func (p *party) end(t *testing.T) {
	t.Helper()
	for name := range p.stops {
		p.stops[name]()
	}
	for name := range p.stops {
		wantErr(t, "Run of "+name, <-p.done[name], nil)
	}
}

// quiet fails if the leader is another than that, or changes within ten minutes.
func (p *party) quiet(t *testing.T, e *election.Election, leader string) {
	t.Helper()
	terms := p.terms.Load()
	for range 600 {
		if l := leads(t, e); l != leader {
			t.Fatalf("%q leads; want %s", l, leader)
		}
		time.Sleep(time.Second)
	}
	if n := p.terms.Load() - terms; n != 0 {
		t.Errorf("%d more terms have begun while nothing happened", n)
	}
}

// leaderless returns the longest time without a leader, within that time from now.
func leaderless(t *testing.T, e *election.Election, within time.Duration) (longest time.Duration) {
	t.Helper()
	last := time.Now()
	for end := last.Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if leads(t, e) != "" {
			last = time.Now()
		}
		longest = max(longest, time.Since(last))
	}
	return longest
}

// hangs adds an entry to the election's queue that is alive and never takes the lead.
func hangs(t *testing.T, db *sqllocktest.Dialect, holder, owner string) {
	t.Helper()
	if err := db.CreateLease(t.Context(), dialect.Lease{ID: holder, Holder: holder, TTL: sqllock.MaxTTL}); err != nil {
		t.Fatal(err)
	}
	_, err := db.Enqueue(t.Context(), []dialect.Waiter{{Request: dialect.Request{
		Key: dialect.Key{Name: "boss", Slot: request.SlotElection}, LeaseID: holder, Owner: owner,
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// wantText fails unless the error is want and contains all parts.
func wantText(t *testing.T, what string, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error is %v; want %v", what, err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %q doesn't say %q", what, err, part)
		}
	}
}

// eachWay runs f with waiters that are notified and with waiters that poll.
func eachWay(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect, polls bool)) {
	t.Helper()
	for name, polls := range map[string]bool{"notified": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) { f(t, db, polls) })
		})
	}
}

// The named candidate leads, although others were there before it, and none of these leads in
// between.
func TestHandOverTo(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		operator := candidate(t, client(t, db, "operator"))
		for _, old := range []string{"old 1", "old 2", "old 3"} {
			p.join(t, db, old, polls)
		}
		done := make(chan error, 1)
		go func() { done <- operator.HandOverTo(t.Context(), "fresh") }() // it waits for the candidate
		time.Sleep(time.Minute)
		requestsLeft(t, db)
		p.journals["old 1"].expect(t, "the leader, before the named one is there", saysStarted)

		began := time.Now()
		p.join(t, db, "fresh", polls)
		wantErr(t, "HandOverTo", <-done, nil)
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("the hand-over took %s", d)
		}
		if l := leads(t, operator); l != "fresh" {
			t.Errorf("%q leads after HandOverTo", l)
		}
		p.quiet(t, operator, "fresh")
		for _, old := range []string{"old 2", "old 3"} {
			for _, said := range p.journals[old].says() {
				if said == saysStarted {
					t.Errorf("%s has led in between", old)
				}
			}
		}
		requestsLeft(t, db)
		asked := db.Calls(sqllocktest.OpAcquire)
		wantErr(t, "HandOverTo of the leader", operator.HandOverTo(t.Context(), "fresh"), nil)
		if n := db.Calls(sqllocktest.OpAcquire) - asked; n != 0 {
			t.Errorf("it made %d requests", n)
		}
		p.stop(t, "fresh") // the others still campaign
		time.Sleep(5 * time.Second)
		if l := leads(t, operator); !strings.HasPrefix(l, "old ") {
			t.Errorf("%q leads when the new one has ended", l)
		}
		p.end(t)
	})
}

// A leader that doesn't check isn't asked. One that resigns by itself meanwhile leaves the lead to
// the named candidate.
func TestHandOverToNotFollowed(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		operator := candidate(t, client(t, db, "operator"))
		term := mustLead(t, candidate(t, client(t, db, "busy")))
		p.join(t, db, "old", polls)
		p.join(t, db, "fresh", polls)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, "HandOverTo", operator.HandOverTo(ctx, "fresh"), context.DeadlineExceeded,
			`"boss"`, `"fresh"`,
			"busy was asked to hand over to fresh, and still leads, in term "+fmt.Sprint(term.Number()))
		requestsLeft(t, db)
		done := make(chan error, 1)
		go func() { done <- operator.HandOverTo(t.Context(), "fresh") }()
		time.Sleep(time.Second)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "HandOverTo", <-done, nil)
		p.journals["fresh"].expect(t, "the named one", saysStarted)
		if n := p.terms.Load(); n != 1 {
			t.Errorf("%d terms; want the named one's alone", n)
		}
		p.end(t)
	})
}

// Nobody of that name campaigns: the leader isn't disturbed, and the error says so.
func TestHandOverToGhost(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		p := newParty()
		e := p.join(t, db, "one", false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		operator := candidate(t, client(t, db, "operator"))
		wantText(t, "HandOverTo", operator.HandOverTo(ctx, "ghost"), context.DeadlineExceeded,
			"nobody of that name waits to lead", "one leads, in term ")
		p.quiet(t, e, "one")
		p.stop(t, "one")
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, "HandOverTo", e.HandOverTo(ctx, "ghost"), context.DeadlineExceeded, "nobody leads")
		db.Outage(true)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, "HandOverTo in an outage", e.HandOverTo(ctx, "ghost"), context.DeadlineExceeded,
			"could not be found out", "outage")
		db.Outage(false)
	})
}

// The named candidate dies while the leader finishes its work: another leads, and isn't asked.
func TestHandOverToDies(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		operator := candidate(t, client(t, db, "operator"))
		term := mustLead(t, candidate(t, client(t, db, "first")))
		asked := term.HandOverAsked()
		other := p.join(t, db, "other", polls)
		cut := &cuttable{Dialect: db}
		p.join(t, cut, "doomed", polls)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- operator.HandOverTo(ctx, "doomed") }()
		<-asked
		cut.off.Store(true)
		time.Sleep(2 * sqllock.DefaultTTL)
		requestsLeft(t, db)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		p.quiet(t, other, "other")
		cancel()
		wantText(t, "HandOverTo", <-done, context.Canceled, "nobody of that name waits to lead", "other leads")
		cut.off.Store(false)
		p.end(t)
	})
}

// The named candidate is in the queue and never takes the lead: somebody leads again soon, and
// isn't asked repeatedly.
func TestHandOverToHangs(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		operator := candidate(t, client(t, db, "operator"))
		p.join(t, db, "one", polls)
		p.join(t, db, "two", polls)
		hangs(t, db, "hangs", "HANGS")
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		go func() { done <- operator.HandOverTo(ctx, "hangs") }()
		if d := leaderless(t, operator, time.Minute); d < 3*time.Second || d > 7*time.Second {
			t.Errorf("nobody leads for %s; want it for as long as the lead is left to one that hangs, five seconds", d)
		}
		if n := p.terms.Load(); n > 3 {
			t.Errorf("%d terms: each leader may hand over once", n)
		}
		p.quiet(t, operator, leads(t, operator))
		wantText(t, "HandOverTo", <-done, context.DeadlineExceeded, "one was asked", "leads now", "hangs waits to lead")

		// If a caller asks once more, the leader is asked once more.
		terms := p.terms.Load()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantErr(t, "HandOverTo", operator.HandOverTo(ctx, "hangs"), context.DeadlineExceeded)
		if p.terms.Load() == terms {
			t.Error("the second request was ignored")
		}
		p.end(t)
	})
}

// Requests for different hand-overs are carried out one after the other, and a caller that waits
// for another's says so. A caller that asks for the same is content with another's request.
func TestHandOverAtCrossPurposes(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		p := newParty()
		term := mustLead(t, candidate(t, client(t, db, "busy")))
		p.join(t, db, "x", false)
		p.join(t, db, "y", false)
		first := candidate(t, client(t, db, "first operator"))
		second := candidate(t, client(t, db, "second operator"))
		x, same, plain, y := make(chan error, 1), make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { x <- first.HandOverTo(t.Context(), "x") }()
		time.Sleep(time.Second)
		go func() { same <- second.HandOverTo(t.Context(), "x") }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, "HandOverTo another", second.HandOverTo(ctx, "y"), context.DeadlineExceeded,
			"nobody could be asked to hand over to y", "first operator asks the leader to hand over to x since ")
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, "HandOver", second.HandOver(ctx), context.DeadlineExceeded,
			"nobody could be asked to hand over", "first operator asks the leader to hand over to x since ")
		go func() { plain <- second.HandOver(t.Context()) }()
		go func() { y <- second.HandOverTo(t.Context(), "y") }()
		time.Sleep(time.Minute)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "HandOverTo x", <-x, nil)
		wantErr(t, "HandOverTo x, by another", <-same, nil)
		wantErr(t, "HandOver of the term that is over", <-plain, nil)
		wantErr(t, "HandOverTo y", <-y, nil)
		p.quiet(t, first, "y")
		p.journals["x"].expect(t, "x", saysStarted, "sqllock: asked to hand over", saysStopped)
		requestsLeft(t, db)

		// A plain request is in place, for a leader that doesn't check.
		p.end(t)
		mustLead(t, candidate(t, client(t, db, "busy too")))
		p.join(t, db, "z", false)
		ctx, cancel = context.WithCancel(t.Context())
		go func() { plain <- first.HandOver(ctx) }()
		time.Sleep(time.Second)
		within, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		wantText(t, "HandOverTo", second.HandOverTo(within, "z"), context.DeadlineExceeded,
			"nobody could be asked to hand over to z", "first operator asks the leader of term ")
		cancel()
		wantErr(t, "HandOver", <-plain, context.Canceled)
		p.stop(t, "z")
	})
}

// A candidate checks whether it may lead. A check that fails doesn't cost it the lead, except for a
// permanent error.
func TestCampaignCannotCheck(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		for _, op := range []sqllocktest.Op{sqllocktest.OpQueue, sqllocktest.OpGet} {
			db.FailNext(op, 1, permanent)
			if _, err := e.Campaign(t.Context()); err == nil {
				t.Errorf("it leads, and %s is refused", op)
			}
			synctest.Wait()
			if l := leads(t, e); l != "" {
				t.Errorf("%s leads after an error", l)
			}
			began := time.Now()
			db.FailNext(op, 10_000, dialect.ClassTransient)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := e.Campaign(ctx)
			cancel()
			wantErr(t, "Campaign whose ctx ends in the check", err, sqllock.ErrNotAcquired)
			wantErr(t, "Campaign whose ctx ends in the check", err, context.DeadlineExceeded)
			term := mustLead(t, e)
			db.FailNext(op, 0, dialect.ClassTransient)
			// A second, and two checks of five seconds: one to win, one after it.
			if d := time.Since(began); d > 20*time.Second {
				t.Errorf("it leads after %s", d)
			}
			if err := term.Guard(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if err := term.Resign(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A leader that resigns when it is asked, and campaigns again at once, still yields to the named
// candidate.
func TestHandOverToByHand(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		opts := []func(*sqllock.Options){pollOnly}
		if !polls {
			opts = nil
		}
		p := newParty()
		one := candidate(t, client(t, db, "one", opts...))
		term := mustLead(t, one)
		asked := term.HandOverAsked()
		p.join(t, db, "two", polls)
		done := make(chan error, 1)
		go func() { done <- one.HandOverTo(t.Context(), "two") }()
		<-asked
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := one.Campaign(ctx)
		wantErr(t, "Campaign", err, context.DeadlineExceeded)
		wantErr(t, "HandOverTo", <-done, nil)
		p.quiet(t, one, "two")
		p.stop(t, "two")
	})
}
