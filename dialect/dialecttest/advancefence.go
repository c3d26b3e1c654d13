package dialecttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// advanceFence checks that the owner can raise the fence and never lower it, that no other claim
// changes anything, and that later fences continue from there.
func advanceFence(s *suite) {
	s.run("by its owner", advanceOwnFence)
	s.run("not by another owner", advanceStrangersFence)
	s.run("each by itself", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		s.take(a)
		fence := s.take(b)
		s.take(c)
		stranger := raised(request(b.Name, lease), fence+9)
		got := ask(s, s.d.AdvanceFence, raised(a, fence+100), stranger, raised(c, fence+300))
		if !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("AdvanceFence returned %t", got)
		}
		s.held(a, max(fence+100, s.get(a.Key).Fence))
		s.held(b, fence)
		s.held(c, max(fence+300, s.get(c.Key).Fence))
		if got := ask(s, s.d.AdvanceFence); len(got) != 0 {
			s.Errorf("%d results for no element", len(got))
		}
	})
	s.run("lasts over a release and a purge", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		ahead := s.take(r) + time.Hour.Microseconds()
		s.advanceFence(r, ahead)
		s.release(claim(r))
		time.Sleep(10 * tick)
		_, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.Purge(ctx, 0, 100) })
		s.must(err)
		if fence := s.take(request(r.Name, r.LeaseID)); fence != ahead+1 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, ahead)
		}
	})
	s.run("lasts over a takeover", func(s *suite) {
		r := request(unique("lock"), s.lease(50*time.Millisecond))
		ahead := s.take(r) + time.Hour.Microseconds()
		s.advanceFence(r, ahead)
		s.waitExpired(r.LeaseID)
		s.advanceFence(r, ahead+1) // the lease decides nothing as long as the row is the owner's
		if !s.free(deadHolder(r, ahead+1)) {
			s.Fatal("Free refused")
		}
		if fence := s.take(request(r.Name, s.lease(long))); fence != ahead+2 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, ahead+1)
		}
	})
	s.run("as far as there is room", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		_, err := s.d.AdvanceFence(s.ctx, []dialect.FenceAdvance{raised(r, dialect.MaxFence+1)})
		if !errors.Is(err, dialect.ErrInvalid) || s.d.Classify(err) != dialect.ClassPermanent {
			s.Errorf("AdvanceFence over MaxFence: %v (class %s)", err, s.d.Classify(err))
		}
		s.held(r, fence)
		s.advanceFence(r, dialect.MaxFence)
		s.release(claim(r))
		if fence := s.take(request(r.Name, r.LeaseID)); fence != dialect.MaxFence+1 {
			s.Errorf("the next fence is %d after one that was raised to %d", fence, int64(dialect.MaxFence))
		}
	})
}

func advanceOwnFence(s *suite) {
	r := request(unique("lock"), s.lease(long))
	r.Note, r.Slot, r.HoldAtLeast = "a note", 7, time.Hour
	fence := s.take(r)
	before := s.held(r, fence)
	for _, less := range []int64{fence, fence - 1, 1, 0, -5} {
		s.advanceFence(r, less)
		s.held(r, fence)
	}
	more := fence + time.Hour.Microseconds()
	for range 2 { // repeating it is harmless
		s.advanceFence(r, more)
		after := s.held(r, more)
		if after.Fence = fence; still(after) != still(before) {
			s.Errorf("more than the fence was changed: from %+v to %+v", before, after)
		}
	}
	s.remaining("HoldAtLeast", s.get(r.Key).FreeIn, r.HoldAtLeast, time.Now().Add(-soon))
	s.advanceFence(r, fence+1)
	s.held(r, more)
}

func advanceStrangersFence(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	more := fence + time.Hour.Microseconds()
	slot, name := raised(r, more), raised(r, more)
	slot.Slot, name.Name = 1, unique("never there")
	for _, wrong := range []dialect.FenceAdvance{raised(request(r.Name, r.LeaseID), more), slot, name} {
		if ask(s, s.d.AdvanceFence, wrong)[0] {
			s.Errorf("%+v raised the fence of %+v", wrong, r)
		}
	}
	s.held(r, fence)
	if s.get(name.Key).Exists || s.get(slot.Key).Exists {
		s.Error("AdvanceFence has made a row")
	}
	s.release(claim(r))
	if ask(s, s.d.AdvanceFence, raised(r, more))[0] || s.get(r.Key).Fence != fence {
		s.Error("the fence was raised after the release")
	}
	next := request(r.Name, r.LeaseID)
	fence = s.take(next)
	if ask(s, s.d.AdvanceFence, raised(r, more))[0] {
		s.Error("the one before raised the fence")
	}
	s.held(next, fence)
}

func raised(r dialect.Request, fence int64) dialect.FenceAdvance {
	return dialect.FenceAdvance{Claim: claim(r), Fence: fence}
}

// advanceFence raises the fence of a lock that must be the request's.
func (s *suite) advanceFence(r dialect.Request, fence int64) {
	s.Helper()
	if !ask(s, s.d.AdvanceFence, raised(r, fence))[0] {
		s.Fatalf("AdvanceFence to %d was refused; the row is %+v", fence, s.get(r.Key))
	}
}
