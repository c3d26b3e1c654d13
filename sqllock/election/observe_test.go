package election_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// observation is what Observe yielded.
type observation struct {
	election.Leader
	err error
}

// observe observes in the background until ctx ends; then the channel is closed.
func observe(ctx context.Context, e *election.Election) <-chan observation {
	seen := make(chan observation, 100)
	go func() {
		defer close(seen)
		for l, err := range e.Observe(ctx) {
			seen <- observation{l, err}
		}
	}()
	return seen
}

// sees waits for the next observation, for ten seconds.
func sees(t *testing.T, seen <-chan observation, holder string) observation {
	t.Helper()
	select {
	case s, ok := <-seen:
		if !ok || s.err != nil || s.Holder != holder {
			t.Fatalf("observed %+v, %v, %v; want %q to lead", s.Leader, s.err, ok, holder)
		}
		return s
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing was observed; want %q to lead", holder)
		return observation{}
	}
}

func seesNothing(t *testing.T, seen <-chan observation) {
	t.Helper()
	time.Sleep(time.Minute)
	select {
	case s, ok := <-seen:
		t.Errorf("observed %+v, %v", s, ok)
	default:
	}
}

// Observers see the present leader first, and then each change, in order.
func TestObserve(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		ctx, cancel := context.WithCancel(t.Context())
		one, two := candidate(t, client(t, db, "one")), candidate(t, client(t, db, "two"), sqllock.WithNote("n"))
		early := observe(ctx, candidate(t, client(t, db, "early")))
		sees(t, early, "")
		first := mustLead(t, one)
		sees(t, early, "one")
		late := observe(ctx, two)
		if s := sees(t, late, "one"); s.Term != first.Number() {
			t.Errorf("observed term %d; it is %d", s.Term, first.Number())
		}
		seesNothing(t, early)
		seesNothing(t, late)
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		sees(t, early, "")
		sees(t, late, "")
		second := mustLead(t, two)
		for _, seen := range []<-chan observation{early, late} {
			if s := sees(t, seen, "two"); s.Term != second.Number() || s.Note != "n" || s.Since.IsZero() {
				t.Errorf("observed %+v", s)
			}
		}
		db.ExpireAllLeases() // nobody clears its row
		sees(t, early, "")
		sees(t, late, "")
		cancel()
		if s, ok := <-early; ok {
			t.Errorf("observed %+v after the end", s)
		}
	})
}

// A leader's term that follows directly on its own earlier term is a change.
func TestObserveSameHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		term := mustLead(t, e)
		seen := observe(t.Context(), e)
		first := sees(t, seen, "one")
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		mustLead(t, e)
		if second := sees(t, seen, "one"); second.Term <= first.Term {
			t.Errorf("term %d after %d", second.Term, first.Term)
		}
	})
}

// A short failure isn't yielded. A long one is yielded once, and when it ends the leader is
// yielded, even if it is the same as before.
func TestObserveOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		cut := &cuttable{Dialect: db}
		mustLead(t, candidate(t, client(t, db, "one")))
		c := client(t, cut, "observer")
		seen := observe(t.Context(), candidate(t, c))
		sees(t, seen, "one")
		cut.off.Store(true)
		time.Sleep(4 * time.Second)
		cut.off.Store(false)
		seesNothing(t, seen)
		cut.off.Store(true)
		time.Sleep(10 * time.Second)
		if s := <-seen; s.err == nil || s.Leader != (election.Leader{}) {
			t.Errorf("observed %+v in an outage; want an error", s)
		}
		seesNothing(t, seen)
		cut.off.Store(false)
		sees(t, seen, "one")

		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s := <-seen
		wantErr(t, "the Client is closed", s.err, sqllock.ErrClosed)
		if s, ok := <-seen; ok {
			t.Errorf("observed %+v after the end", s)
		}
	})
}

// An observer may stop at any time, and may find an outage at its start.
func TestObserveBreak(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		db.Outage(true)
		n := 0
		for l, err := range e.Observe(t.Context()) {
			if n++; n == 1 {
				if err == nil || l != (election.Leader{}) {
					t.Errorf("observed %+v, %v in an outage", l, err)
				}
				db.Outage(false)
				mustLead(t, e)
				continue
			}
			if err != nil || l.Holder != "one" {
				t.Errorf("observed %+v, %v", l, err)
			}
			break
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for l, err := range e.Observe(ended) {
			t.Errorf("observed %+v, %v after ctx had ended", l, err)
		}
	})
}
