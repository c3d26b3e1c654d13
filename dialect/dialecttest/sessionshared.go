package dialecttest

import (
	"errors"

	"github.com/sqllock/sqllock/dialect"
)

// sessionShared checks many readers or one writer, if the engine has shared locks, and otherwise
// the refusal.
func sessionShared(s *suite) {
	exclusive := serverLock()
	shared := exclusive
	shared.Shared = true
	if !s.Powers.SessionShared {
		a := s.open("a")
		_, err := a.TryLock(s.ctx, []dialect.ServerLock{shared})
		if !errors.Is(err, dialect.ErrUnsupported) || s.d.Classify(err) != dialect.ClassPermanent {
			s.Errorf("TryLock of a shared lock: %v (class %s), want ErrUnsupported", err, s.d.Classify(err))
		}
		s.open("b").takes(exclusive)
		if err := a.Ping(s.ctx); err != nil {
			s.Errorf("the session ended with the refusal: %v", err)
		}
		return
	}
	a, b, c := s.open("a"), s.open("b"), s.open("c")
	a.takes(shared)
	b.takes(shared)
	c.isRefused(exclusive)
	a.frees(shared)
	a.expect("Unlock of a released lock", a.unlock(shared), false)
	c.isRefused(exclusive)
	b.frees(shared)
	c.takes(exclusive)
	a.isRefused(shared)
	c.frees(exclusive)

	other := serverLock()
	b.takes(other)
	if got := a.try(shared, dialect.ServerLock{Name: other.Name, Shared: true}, serverLock()); !got[0] || got[1] ||
		!got[2] {
		s.Errorf("a batch of both kinds: %t", got)
	}
	c.isRefused(exclusive)
	a.end()
	c.takesSoon(exclusive)
}
