package dialecttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// raise: the owner makes the fence greater, and never less; nobody else changes anything, and those to come go on from there.
func raise(s *suite) {
	s.run("by its owner", raiseOurs)
	s.run("not a stranger's", raiseStrangers)
	s.run("each by itself", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		s.take(a)
		fence := s.take(b)
		s.take(c)
		stranger := raised(request(b.Name, lease), fence+9)
		got := ask(s, s.d.Raise, raised(a, fence+100), stranger, raised(c, fence+300))
		if !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Raise answered %t", got)
		}
		s.held(a, max(fence+100, s.look(a.Key).Fence))
		s.held(b, fence)
		s.held(c, max(fence+300, s.look(c.Key).Fence))
		if got := ask(s, s.d.Raise); len(got) != 0 {
			s.Errorf("%d answers to no question", len(got))
		}
	})
	s.run("lasts over a release and a purge", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		ahead := s.take(r) + time.Hour.Microseconds()
		s.raise(r, ahead)
		s.release(claim(r))
		time.Sleep(10 * tick)
		_, err := settle(s, func(ctx context.Context) (int, error) { return s.d.Purge(ctx, 0, 100) })
		s.must(err)
		if fence := s.take(request(r.Name, r.LeaseID)); fence != ahead+1 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, ahead)
		}
	})
	s.run("lasts over a takeover", func(s *suite) {
		r := request(unique("lock"), s.lease(50*time.Millisecond))
		ahead := s.take(r) + time.Hour.Microseconds()
		s.raise(r, ahead)
		s.buried(r.LeaseID)
		s.raise(r, ahead+1) // the lease decides nothing as long as the row is the owner's
		if !s.free(orphan(r, ahead+1)) {
			s.Fatal("Free refused")
		}
		if fence := s.take(request(r.Name, s.lease(long))); fence != ahead+2 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, ahead+1)
		}
	})
	s.run("as far as there is room", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		_, err := s.d.Raise(s.ctx, []dialect.Raise{raised(r, dialect.MaxFence+1)})
		if !errors.Is(err, dialect.ErrInvalid) || s.d.Classify(err) != dialect.Permanent {
			s.Errorf("Raise over MaxFence: %v (class %s)", err, s.d.Classify(err))
		}
		s.held(r, fence)
		s.raise(r, dialect.MaxFence)
		s.release(claim(r))
		if fence := s.take(request(r.Name, r.LeaseID)); fence != dialect.MaxFence+1 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, int64(dialect.MaxFence))
		}
	})
}

func raiseOurs(s *suite) {
	r := request(unique("lock"), s.lease(long))
	r.Note, r.Slot, r.HoldAtLeast = "a note", 7, time.Hour
	fence := s.take(r)
	before := s.held(r, fence)
	for _, less := range []int64{fence, fence - 1, 1, 0, -5} {
		s.raise(r, less)
		s.held(r, fence)
	}
	more := fence + time.Hour.Microseconds()
	for range 2 { // sent again, it is harmless
		s.raise(r, more)
		after := s.held(r, more)
		if after.Fence = fence; still(after) != still(before) {
			s.Errorf("more than the fence was changed: from %+v to %+v", before, after)
		}
	}
	s.left("HoldAtLeast", s.look(r.Key).FreeIn, r.HoldAtLeast, time.Now().Add(-soon))
	s.raise(r, fence+1)
	s.held(r, more)
}

func raiseStrangers(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	more := fence + time.Hour.Microseconds()
	slot, name := raised(r, more), raised(r, more)
	slot.Slot, name.Name = 1, unique("never there")
	for _, wrong := range []dialect.Raise{raised(request(r.Name, r.LeaseID), more), slot, name} {
		if ask(s, s.d.Raise, wrong)[0] {
			s.Errorf("%+v raised the fence of %+v", wrong, r)
		}
	}
	s.held(r, fence)
	if s.look(name.Key).Exists || s.look(slot.Key).Exists {
		s.Error("Raise has made a row")
	}
	s.release(claim(r))
	if ask(s, s.d.Raise, raised(r, more))[0] || s.look(r.Key).Fence != fence {
		s.Error("the fence was raised after the release")
	}
	next := request(r.Name, r.LeaseID)
	fence = s.take(next)
	if ask(s, s.d.Raise, raised(r, more))[0] {
		s.Error("the one before raised the fence")
	}
	s.held(next, fence)
}

func raised(r dialect.Request, fence int64) dialect.Raise {
	return dialect.Raise{Claim: claim(r), Fence: fence}
}

// raise raises the fence of a lock that must be the request's.
func (s *suite) raise(r dialect.Request, fence int64) {
	s.Helper()
	if !ask(s, s.d.Raise, raised(r, fence))[0] {
		s.Fatalf("Raise to %d was refused; the row is %+v", fence, s.look(r.Key))
	}
}
