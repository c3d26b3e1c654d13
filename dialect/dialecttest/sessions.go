package dialecttest

import (
	"context"
	"fmt"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// heldSession is one session that fails the test on an error. It repeats nothing, since after an
// error a lock may be held.
type heldSession struct {
	*suite
	dialect.Session
}

// open opens a session that is closed with the test.
func (s *suite) open(holder string) heldSession {
	s.Helper()
	session, err := s.d.(dialect.SessionLocker).OpenSession(s.ctx, dialect.SessionOptions{Holder: holder, Idle: long})
	s.must(err)
	s.Cleanup(func() { session.Close() })
	return heldSession{s, session}
}

// once calls f, and checks that there are as many results as elements.
func once[Q, A any](s *suite, f func(context.Context, []Q) ([]A, error), elements ...Q) []A {
	s.Helper()
	results, err := f(s.ctx, elements)
	s.must(err)
	if len(results) != len(elements) {
		s.Fatalf("%d results to %d elements", len(results), len(elements))
	}
	return results
}

func (h heldSession) try(locks ...dialect.ServerLock) []bool {
	h.Helper()
	return once(h.suite, h.TryLock, locks...)
}

func (h heldSession) unlock(locks ...dialect.ServerLock) []bool {
	h.Helper()
	return once(h.suite, h.Unlock, locks...)
}

// expect checks that each of the results is want.
func (h heldSession) expect(what string, got []bool, want bool) {
	h.Helper()
	if slices.Contains(got, !want) {
		h.Fatalf("%s: %t, want %t", what, got, want)
	}
}

func (h heldSession) takes(locks ...dialect.ServerLock) {
	h.Helper()
	h.expect("TryLock of what is free", h.try(locks...), true)
}

func (h heldSession) isRefused(locks ...dialect.ServerLock) {
	h.Helper()
	h.expect("TryLock of what another has", h.try(locks...), false)
}

func (h heldSession) frees(locks ...dialect.ServerLock) {
	h.Helper()
	h.expect("Unlock of what it holds", h.unlock(locks...), true)
}

// takesSoon waits for locks that the server releases by itself.
func (h heldSession) takesSoon(locks ...dialect.ServerLock) {
	h.Helper()
	for _, lock := range locks {
		h.eventually(fmt.Sprintf("lock %q becomes free", lock.Name), func() bool { return h.try(lock)[0] })
	}
}

// end closes a session whose connection works.
func (h heldSession) end() {
	h.Helper()
	h.quickly("Close", func(*suite) {
		if err := h.Close(); err != nil {
			h.Errorf("Close: %v", err)
		}
	})
}

func serverLock() dialect.ServerLock { return dialect.ServerLock{Name: unique("lock")} }

func serverLocks(n int) []dialect.ServerLock {
	locks := make([]dialect.ServerLock, n)
	for i := range locks {
		locks[i] = serverLock()
	}
	return locks
}

// sessions checks that a lock is one connection's until that releases it or ends.
func sessions(s *suite) {
	s.run("given once", func(s *suite) {
		a, b, lock := s.open("a"), s.open("b"), serverLock()
		a.takes(lock)
		b.isRefused(lock)
		b.expect("Unlock of what another holds", b.unlock(lock), false)
		b.isRefused(lock)
		a.frees(lock)
		a.expect("Unlock of a released lock", a.unlock(lock), false)
		b.takes(lock)
		a.isRefused(lock)
		b.frees(lock)
	})
	s.run("one of two", func(s *suite) {
		a, b, first, second := s.open("a"), s.open("b"), serverLock(), serverLock()
		a.takes(first)
		b.takes(second)
		b.isRefused(first)
		a.isRefused(second)
		a.frees(first)
		b.takes(first)
		a.isRefused(second)
	})
	s.run("each lock by itself", func(s *suite) {
		a, b, locks := s.open("a"), s.open("b"), serverLocks(6)
		a.takes(locks[1], locks[4])
		want := []bool{true, false, true, true, false, true}
		if got := b.try(locks...); !slices.Equal(got, want) {
			s.Fatalf("TryLock returned %t, want %t", got, want)
		}
		a.isRefused(locks[0], locks[2], locks[3], locks[5])
		if got := b.unlock(locks...); !slices.Equal(got, want) {
			s.Fatalf("Unlock returned %t, want %t", got, want)
		}
		b.isRefused(locks[1], locks[4])
		a.takes(locks[0], locks[2], locks[3], locks[5])
	})
	// a lock that is counted, and was taken twice unnoticed, would stay
	s.run("held once", func(s *suite) {
		a, b, locks := s.open("a"), s.open("b"), serverLocks(100)
		a.takes(locks...)
		a.frees(locks...)
		b.takes(locks...)
	})
	s.run("an empty slice", func(s *suite) {
		a := s.open("a")
		a.takes()
		a.frees()
		once(s, a.HeldBy)
		if err := a.Ping(s.ctx); err != nil {
			s.Error(err)
		}
	})
	s.run("closed", func(s *suite) {
		a, b, other, locks := s.open("a"), s.open("b"), serverLock(), serverLocks(20)
		a.takes(locks...)
		b.takes(other)
		a.end()
		b.takesSoon(locks...)
		s.open("c").isRefused(other)
		if _, err := a.TryLock(s.ctx, serverLocks(1)); err == nil {
			s.Error("TryLock works after Close")
		}
		if a.Ping(s.ctx) == nil {
			s.Error("Ping works after Close")
		}
		if err := a.Close(); err != nil {
			s.Errorf("a second Close: %v", err)
		}
	})
}
