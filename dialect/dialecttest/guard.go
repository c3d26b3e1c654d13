package dialecttest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

func (s *suite) begin(level sql.IsolationLevel) Tx {
	s.Helper()
	tx, err := retryTransient(s, func(ctx context.Context) (Tx, error) {
		return s.beginAs(ctx, level)
	})
	s.must(err)
	s.Cleanup(func() { tx.Rollback() })
	return tx
}

func (s *suite) guard(tx Tx, claims ...dialect.Claim) []bool {
	s.Helper()
	return ask(s, func(ctx context.Context, c []dialect.Claim) ([]bool, error) {
		return s.d.Guard(ctx, tx, c)
	}, claims...)
}

// guard checks that the lock is its owner's until the transaction ends, whatever happens to the
// lease.
func guard(s *suite) {
	s.run("no takeover before the commit", func(s *suite) { takeover(s, Tx.Commit) })
	s.run("nor before the rollback", func(s *suite) { takeover(s, Tx.Rollback) })
	s.run("a lost lock", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		s.free(o)
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		tx := s.begin(0)
		missing := claim(request(unique("never there"), ""))
		if got := s.guard(tx, claim(r), missing); !slices.Equal(got, []bool{false, false}) {
			s.Errorf("Guard returned %t for a lock of another and one that isn't there", got)
		}
		s.must(tx.Rollback())
		s.held(next, fence)
	})
	s.run("each claim by itself", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		ask(s, s.d.Acquire, a, b, c)
		tx := s.begin(0)
		got := s.guard(tx, claim(a), claim(request(b.Name, lease)), claim(c))
		if !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Guard returned %t", got)
		}
		s.must(tx.Commit())
	})
	s.run("a release waits", releaseWaits)
	s.run("changes nothing", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		before := s.held(r, fence)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		s.must(tx.Commit())
		if after := s.held(r, fence); still(after) != still(before) {
			s.Errorf("the row went from %+v to %+v", before, after)
		}
	})
}

// takeover checks that while the transaction of an expired holder is open, others are refused at
// once.
func takeover(s *suite, end func(Tx) error) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	other := request(r.Name, s.lease(long))
	s.drop(r.LeaseID)
	tx := s.begin(0)
	if got := s.guard(tx, claim(r)); !got[0] {
		s.Fatal("Guard refused its owner")
	}
	o := deadHolder(r, fence)
	s.excluded("Free", func(ctx context.Context) (bool, error) {
		freed, err := s.d.Free(ctx, []dialect.DeadHolder{o})
		return err == nil && freed[0], err
	})
	s.excluded("Acquire", func(ctx context.Context) (bool, error) {
		grants, err := s.d.Acquire(ctx, []dialect.Request{other})
		return err == nil && grants[0].Granted, err
	})
	s.quickly("Get", func(s *suite) { s.held(r, fence) })
	s.must(end(tx))
	if !s.free(o) {
		s.Error("Free refused after the transaction")
	}
	s.take(other)
}

// excluded checks that call is refused at once. For an engine with a single writer, a failure or no
// result will do as well.
func (s *suite) excluded(what string, call func(context.Context) (bool, error)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.guardTimeout())
	defer cancel()
	got, err := call(ctx)
	switch {
	case got:
		s.Fatalf("%s was granted while a guarded transaction was open", what)
	case err == nil:
	case s.SingleWriter:
		if class := s.d.Classify(err); class != dialect.ClassTransient && class != dialect.ClassUnknown {
			s.Errorf("%s: %v (class %s)", what, err, class)
		}
	case errors.Is(err, context.DeadlineExceeded):
		s.Errorf("%s waits for the guarded transaction", what)
	default:
		s.must(err)
	}
}

// guardTimeout returns how long an engine may take for a write while a guarded transaction is open.
// With a single writer the wait is in vain, so it is short.
func (s *suite) guardTimeout() time.Duration {
	if s.SingleWriter {
		return short
	}
	return atOnce
}

// releaseWaits checks that Release returns after the transaction's end, not before.
func releaseWaits(s *suite) {
	r := request(unique("lock"), s.lease(long))
	s.take(r)
	tx := s.begin(0)
	if got := s.guard(tx, claim(r)); !got[0] {
		s.Fatal("Guard refused its owner")
	}
	s.waitsFor(tx, "Release", func(ctx context.Context) ([]bool, error) {
		return s.d.Release(ctx, []dialect.Claim{claim(r)})
	})
	s.take(request(r.Name, r.LeaseID))
}

// waitsFor commits tx, and checks that ask returns true, and only after that.
func (s *suite) waitsFor(tx Tx, what string, ask func(context.Context) ([]bool, error)) {
	s.Helper()
	var ended atomic.Bool
	done := make(chan bool, 1)
	go func() {
		result, err := retryTransient(s, ask)
		if err == nil && !ended.Load() {
			s.Errorf("%s returned while the guarded transaction was open", what)
		}
		done <- s.completed(err) && result[0]
	}()
	select {
	case <-done:
		s.Fatalf("%s didn't wait", what)
	case <-time.After(100 * time.Millisecond):
	}
	ended.Store(true)
	s.must(tx.Commit())
	if !<-done {
		s.Errorf("%s was refused", what)
	}
}
