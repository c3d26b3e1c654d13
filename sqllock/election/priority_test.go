package election_test

import (
	"context"
	"fmt"
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

// The candidate of the highest of five priorities leads in the end, and stays the leader. When it
// ends, the highest of the others leads.
func TestPriority(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		var e *election.Election
		for _, n := range []int{0, -2, 2, -1, 1} {
			e = p.join(t, db, fmt.Sprintf("priority %d", n), polls, election.Priority(n))
		}
		for _, n := range []int{2, 1, 0, -1, -2} {
			time.Sleep(10 * time.Second)
			leader := fmt.Sprintf("priority %d", n)
			p.quiet(t, e, leader)
			p.stop(t, leader)
		}
		if n := p.terms.Load(); n > 7 {
			t.Errorf("%d terms; want one each, and no more than two to begin with", n)
		}
	})
}

// A leader that doesn't know its rivals resigns: the waiting candidate of the highest priority
// leads next, and nobody before it.
func TestPriorityNext(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		busy := candidate(t, client(t, db, "busy"))
		term := mustLead(t, busy)
		for _, n := range []int{1, 2, 4, 3} {
			p.join(t, db, fmt.Sprintf("priority %d", n), polls, election.Priority(n))
		}
		time.Sleep(time.Minute)
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		for p.terms.Load() == 0 && time.Since(began) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("the next one leads after %s", d)
		}
		p.quiet(t, busy, "priority 4")
		if n := p.terms.Load(); n != 1 {
			t.Errorf("%d terms have begun; want the one", n)
		}
		p.end(t)
	})
}

// Candidates of one priority don't disturb each other, whatever the priority is.
func TestPriorityEqual(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		var e *election.Election
		for _, name := range []string{"one", "two", "three"} {
			e = p.join(t, db, name, polls, election.Priority(7))
		}
		p.quiet(t, e, "one")
		p.stop(t, "one")
		time.Sleep(5 * time.Second)
		next := leads(t, e)
		if !polls && next != "two" {
			t.Errorf("%s leads next; want two, which is first in the queue", next)
		}
		p.quiet(t, e, next)
		if n := p.terms.Load(); n != 2 {
			t.Errorf("%d terms; want 2", n)
		}
		p.end(t)
	})
}

// A candidate of a higher priority is in the queue and never takes the lead: the others yield to it
// once.
func TestPriorityHangs(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		e := p.join(t, db, "one", polls)
		hangs(t, db, "hangs", "HANGS.p9")
		if d := leaderless(t, e, time.Minute); d < 3*time.Second || d > 7*time.Second {
			t.Errorf("nobody leads for %s; want it for as long as the lead is left to one that hangs, five seconds", d)
		}
		p.quiet(t, e, "one")
		if n := p.terms.Load(); n != 2 {
			t.Errorf("%d terms; want 2", n)
		}
		p.join(t, db, "two", polls, election.Priority(5)) // a candidate that doesn't hang isn't held up by it
		time.Sleep(20 * time.Second)
		p.quiet(t, e, "two")
		p.end(t)
	})
}

// A candidate that is asked for by name leads, whatever its priority, as long as the request is in
// place. After that a candidate of a higher priority takes over.
func TestHandOverToLower(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		operator := candidate(t, client(t, db, "operator"))
		p.join(t, db, "high", polls, election.Priority(5))
		p.join(t, db, "middle", polls, election.Priority(3))
		p.join(t, db, "low", polls)
		wantErr(t, "HandOverTo", operator.HandOverTo(t.Context(), "low"), nil)
		p.journals["low"].expect(t, "the named one", saysStarted)
		time.Sleep(20 * time.Second)
		p.quiet(t, operator, "high")
		p.end(t)
	})
}

// A candidate reports when it is in the queue: not if it wins at once, and again if it had to
// enqueue again.
func TestOnQueued(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		cut := &cuttable{Dialect: db}
		opts := []func(*sqllock.Options){pollOnly}
		if !polls {
			opts = nil
		}
		c := client(t, cut, "two", opts...)
		var queued atomic.Int64
		two := candidate(t, c, election.Priority(3), election.OnQueued(func() {
			queued.Add(1)
			queue, err := c.Queue(t.Context(), "boss")
			if err != nil || len(queue) != 1 || queue[0].Holder != "two" || queue[0].Priority != 3 {
				t.Errorf("the queue is %+v, %v when it has queued up", queue, err)
			}
		}))
		if err := mustLead(t, two).Resign(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if queued.Load() != 0 {
			t.Error("it says that it waits, and has won at once")
		}
		one := mustLead(t, candidate(t, client(t, db, "one")))
		ctx, cancel := context.WithCancel(t.Context())
		done := runs(ctx, two, untilEnd)
		time.Sleep(time.Minute)
		if n := queued.Load(); n != 1 {
			t.Errorf("it said %d times that it waits; want once", n)
		}
		cut.off.Store(true)
		time.Sleep(2 * sqllock.DefaultTTL)
		cut.off.Store(false)
		time.Sleep(time.Minute)
		if n := queued.Load(); n != 2 {
			t.Errorf("it said %d times that it waits, after its lease was lost; want twice", n)
		}
		if err := one.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if l := leads(t, two); l != "two" {
			t.Errorf("%q leads", l)
		}
		cancel()
		wantErr(t, "Run", <-done, nil)
	})
}

// A deploy in one program: it campaigns, and asks for itself once it is in the queue.
func TestOnQueuedHandOverTo(t *testing.T) {
	eachWay(t, func(t *testing.T, db *sqllocktest.Dialect, polls bool) {
		p := newParty()
		p.join(t, db, "old", polls)
		queued := make(chan struct{}, 1)
		fresh := p.join(t, db, "fresh", polls, election.OnQueued(func() {
			select {
			case queued <- struct{}{}:
			default:
			}
		}))
		<-queued
		began := time.Now()
		wantErr(t, "HandOverTo", fresh.HandOverTo(t.Context(), "fresh"), nil)
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("it took %s", d)
		}
		p.quiet(t, fresh, "fresh")
		p.end(t)
	})
}

// Candidates whose tokens are of another version have no priority.
func TestPriorityOfStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		p := newParty()
		e := p.join(t, db, "one", false)
		for i, owner := range []string{"OLD", "NEW.q9", "NEWER.pmany", "NEWEST.x.p9"} {
			hangs(t, db, fmt.Sprintf("stranger %d", i), owner)
		}
		p.quiet(t, e, "one")
		if n := p.terms.Load(); n != 1 {
			t.Errorf("%d terms", n)
		}
		queue, err := db.Queue(t.Context(), dialect.Key{Name: "boss", Slot: request.SlotElection}, 10)
		if err != nil || len(queue) != 4 {
			t.Errorf("the queue has changed: %+v, %v", queue, err)
		}
		p.end(t)
	})
}
