package election_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

const permanent = dialect.ClassPermanent

// The leader is asked to hand over while another campaigns. That one leads soon, and the old one
// waits behind it, also on engines that poll.
func TestHandOver(t *testing.T) {
	for name, opts := range map[string][]func(*sqllock.Options){"notified": nil, "polling": {pollOnly}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				old, fresh := candidate(t, client(t, db, "old", opts...)), candidate(t, client(t, db, "fresh", opts...))
				operator := candidate(t, client(t, db, "operator", opts...))
				ctx, cancel := context.WithCancel(t.Context())
				var causes []error
				first := runs(ctx, old, func(ctx context.Context, _ *election.Term) error {
					<-ctx.Done()
					causes = append(causes, context.Cause(ctx))
					return ctx.Err()
				})
				time.Sleep(time.Second)
				second := runs(ctx, fresh, untilEnd)
				time.Sleep(10 * time.Second)
				began := time.Now()
				if err := operator.HandOver(t.Context()); err != nil {
					t.Fatal(err)
				}
				for leads(t, fresh) != "fresh" && time.Since(began) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("the hand-over took %s", d)
				}
				time.Sleep(5 * time.Minute)
				if l := leads(t, fresh); l != "fresh" {
					t.Errorf("%q leads in the end; want fresh", l)
				}
				requestsLeft(t, db)
				cancel()
				wantErr(t, "the first Run, which waits again", <-first, nil)
				if len(causes) != 1 || !errors.Is(causes[0], election.ErrHandOver) {
					t.Errorf("the old leader's ctx ended with %v; want ErrHandOver, once", causes)
				}
				wantErr(t, "the second Run", <-second, nil)
			})
		})
	}
}

// requestsLeft fails if a request to hand over is still in place.
func requestsLeft(t *testing.T, db *sqllocktest.Dialect) {
	t.Helper()
	for info, err := range client(t, db, "witness").Locks(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		if info.Kind == sqllock.KindHandOver {
			t.Errorf("a request to hand over is still in place: %+v", info)
		}
	}
}

// Nobody else campaigns: the leader stays out for five seconds and leads again.
func TestHandOverToNobody(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		e := candidate(t, client(t, db, "one"))
		ctx, cancel := context.WithCancel(t.Context())
		var terms []int64
		done := runs(ctx, e, func(ctx context.Context, term *election.Term) error {
			terms = append(terms, term.Number())
			return untilEnd(ctx, term)
		})
		time.Sleep(time.Second)
		if err := e.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if l := leads(t, e); l != "" {
			t.Errorf("%s leads again too soon", l)
		}
		time.Sleep(2 * time.Second)
		if leads(t, e) != "one" {
			t.Error("it doesn't lead again")
		}
		time.Sleep(5 * time.Minute)
		requestsLeft(t, db)
		cancel()
		wantErr(t, "Run", <-done, nil)
		if len(terms) != 2 {
			t.Errorf("terms %v; want two: the new leader wasn't asked", terms)
		}
	})
}

func TestHandOverNobodyLeads(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		one := candidate(t, client(t, db, "one"))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "HandOver", one.HandOver(t.Context()), nil)
		wantErr(t, "HandOver after ctx", one.HandOver(ended), context.Canceled)
		if n := db.Calls(sqllocktest.OpAcquire); n > 0 {
			t.Errorf("it made %d requests of nobody", n)
		}
		mustLead(t, one)
		db.ExpireAllLeases()
		wantErr(t, "HandOver of a dead leader", candidate(t, client(t, db, "two")).HandOver(t.Context()), nil)
	})
}

// A leader that never checks isn't affected. The caller gets an error when its ctx ends, and its
// request is withdrawn. A leader that begins to check finds the request.
func TestHandOverNotFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		busy, asks := candidate(t, client(t, db, "busy")), candidate(t, client(t, db, "asks"))
		term := mustLead(t, busy)
		looks := db.Calls(sqllocktest.OpGet)
		time.Sleep(time.Minute)
		if n := db.Calls(sqllocktest.OpGet); n != looks {
			t.Errorf("a leader that doesn't want to be asked has checked %d times", n-looks)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := asks.HandOver(ctx)
		wantErr(t, "HandOver", err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "busy") {
			t.Errorf("HandOver = %v; want it to name the leader", err)
		}
		requestsLeft(t, db)

		asked := term.HandOverAsked()
		time.Sleep(time.Minute)
		select {
		case <-asked:
			t.Error("it is asked by a request that was taken back")
		default:
		}
		done := make(chan error, 1)
		go func() { done <- asks.HandOver(t.Context()) }()
		<-asked
		time.Sleep(time.Minute) // it finishes its work
		select {
		case err := <-done:
			t.Error("HandOver returns before the term is over:", err)
		default:
		}
		if err := term.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "HandOver", <-done, nil)
	})
}

// The caller is cut off: its request ends with its lease, and is only about the term that it names.
func TestHandOverAskerDies(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		cut := &cuttable{Dialect: db}
		one, asks := candidate(t, client(t, db, "one")), candidate(t, client(t, cut, "asks"))
		first := mustLead(t, one)
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- asks.HandOver(ctx) }()
		time.Sleep(time.Second)
		cut.off.Store(true)

		// The term that the request names ends, and another begins while the request is in place:
		// that one isn't asked.
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		second := mustLead(t, one)
		asked := second.HandOverAsked()
		time.Sleep(10 * time.Second)
		another := make(chan error, 1)
		go func() { another <- candidate(t, client(t, db, "another")).HandOver(t.Context()) }()
		time.Sleep(2 * time.Second)
		select {
		case <-asked:
			t.Error("a request about another term was followed")
		default:
		}
		<-asked // by the other caller, once the dead caller's lease has expired
		cut.off.Store(false)
		wantErr(t, "HandOver of the term that is over", <-done, nil)
		cancel()
		if err := second.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "the other HandOver", <-another, nil)
		requestsLeft(t, db)
	})
}

// Several callers ask at the same time: the leader hands over once, and all calls return.
func TestHandOverAskedByMany(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		terms := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := runs(ctx, candidate(t, client(t, db, "one")), func(ctx context.Context, term *election.Term) error {
			terms++
			return untilEnd(ctx, term)
		})
		synctest.Wait()
		answers := make(chan error)
		for range 5 {
			e := candidate(t, client(t, db, "asks"))
			go func() { answers <- e.HandOver(t.Context()) }()
		}
		for range 5 {
			wantErr(t, "HandOver", <-answers, nil)
		}
		time.Sleep(time.Minute)
		requestsLeft(t, db)
		cancel()
		wantErr(t, "Run", <-done, nil)
		if terms != 2 {
			t.Errorf("%d terms; want 2", terms)
		}
	})
}

// A dead caller's request, whose row is still there, has no effect.
func TestHandOverDeadRequest(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		cut := &cuttable{Dialect: db}
		term := mustLead(t, candidate(t, client(t, db, "one")))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		asks := candidate(t, client(t, cut, "asks"))
		go func() { done <- asks.HandOver(ctx) }()
		time.Sleep(time.Second)
		cut.off.Store(true)
		time.Sleep(2 * sqllock.DefaultTTL)
		asked := term.HandOverAsked()
		time.Sleep(time.Minute)
		select {
		case <-asked:
			t.Error("it followed a dead caller's request")
		default:
		}
		cancel()
		wantErr(t, "HandOver", <-done, context.Canceled)
	})
}
