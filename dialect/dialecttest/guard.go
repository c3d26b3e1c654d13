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

func (s *suite) begin(level sql.IsolationLevel) *sql.Tx {
	s.Helper()
	tx, err := settle(s, func(ctx context.Context) (*sql.Tx, error) {
		return s.DB.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	})
	s.must(err)
	s.Cleanup(func() { tx.Rollback() })
	return tx
}

func (s *suite) guard(tx *sql.Tx, claims ...dialect.Claim) []bool {
	s.Helper()
	return ask(s, func(ctx context.Context, c []dialect.Claim) ([]bool, error) { return s.d.Guard(ctx, tx, c) }, claims...)
}

// guard: the lock is its owner's until the transaction ends, whatever becomes of the lease.
func guard(s *suite) {
	s.run("nobody takes it over before the commit", func(s *suite) { takeover(s, (*sql.Tx).Commit) })
	s.run("nor before the rollback", func(s *suite) { takeover(s, (*sql.Tx).Rollback) })
	s.run("a lost lock", func(s *suite) {
		r, o := s.orphaned(request(unique("lock"), ""))
		s.free(o)
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		tx := s.begin(0)
		missing := claim(request(unique("never there"), ""))
		if got := s.guard(tx, claim(r), missing); !slices.Equal(got, []bool{false, false}) {
			s.Errorf("Guard answered %t for a lock of another and one that isn't there", got)
		}
		s.must(tx.Rollback())
		s.held(next, fence)
	})
	s.run("each claim by itself", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		ask(s, s.d.Acquire, a, b, c)
		tx := s.begin(0)
		if got := s.guard(tx, claim(a), claim(request(b.Name, lease)), claim(c)); !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Guard answered %t", got)
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

// takeover: the holder is dead and buried, its transaction still open. Others are told no, and at once.
func takeover(s *suite, end func(*sql.Tx) error) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	other := request(r.Name, s.lease(long))
	s.drop(r.LeaseID)
	tx := s.begin(0)
	if got := s.guard(tx, claim(r)); !got[0] {
		s.Fatal("Guard refused its owner")
	}
	o := orphan(r, fence)
	s.keptOut("Free", func(ctx context.Context) (bool, error) {
		freed, err := s.d.Free(ctx, []dialect.Orphan{o})
		return err == nil && freed[0], err
	})
	s.keptOut("Acquire", func(ctx context.Context) (bool, error) {
		grants, err := s.d.Acquire(ctx, []dialect.Request{other})
		return err == nil && grants[0].Granted, err
	})
	s.quickly("Look", func(s *suite) { s.held(r, fence) })
	s.must(end(tx))
	if !s.free(o) {
		s.Error("Free refused after the transaction")
	}
	s.take(other)
}

// keptOut expects no, at once; from an engine of a single writer a failure, or no answer, will do as well.
func (s *suite) keptOut(what string, call func(context.Context) (bool, error)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, s.patience())
	defer cancel()
	got, err := call(ctx)
	switch {
	case got:
		s.Fatalf("%s was granted while a guarded transaction was open", what)
	case err == nil:
	case s.SingleWriter:
		if class := s.d.Classify(err); class != dialect.Transient && class != dialect.Unknown {
			s.Errorf("%s: %v (class %s)", what, err, class)
		}
	case errors.Is(err, context.DeadlineExceeded):
		s.Errorf("%s waits for the guarded transaction", what)
	default:
		s.must(err)
	}
}

// patience is how long an engine may take for a write while a guarded transaction is open: one of a single writer
// waits in vain, so not long.
func (s *suite) patience() time.Duration {
	if s.SingleWriter {
		return short
	}
	return atOnce
}

// releaseWaits: the release's answer comes after the transaction's end, not before.
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

// waitsFor commits tx, and checks that the answer to ask is yes and came after that.
func (s *suite) waitsFor(tx *sql.Tx, what string, ask func(context.Context) ([]bool, error)) {
	s.Helper()
	var ended atomic.Bool
	done := make(chan bool, 1)
	go func() {
		answer, err := settle(s, ask)
		if err == nil && !ended.Load() {
			s.Errorf("%s answered while the guarded transaction was open", what)
		}
		done <- s.answered(err) && answer[0]
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
