package dialecttest

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// transfer checks that a lock goes from one acquisition of a process to its next, unless others
// wait.
func transfer(s *suite) {
	s.run("to the next", passed)
	s.run("refused", transferRefused)
	s.run("not before it is to be free", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.HoldAtLeast = 2 * short
		fence := s.take(r)
		next := request(r.Name, r.LeaseID)
		if g := s.transfer(r, next); g != (dialect.Grant{}) {
			s.Fatalf("%+v, before HoldAtLeast has passed", g)
		}
		s.held(r, fence)
		s.eventually("transferred", func() bool { return s.transfer(r, next).Granted })
	})
	s.run("sent again", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		next := request(r.Name, r.LeaseID)
		first := s.transfer(r, next)
		if again := s.transfer(r, next); again != (dialect.Grant{}) {
			s.Errorf("sent again: %+v", again)
		}
		s.held(next, first.Fence)
		if got := s.take(next); got <= first.Fence {
			s.Errorf("fence %d after %d", got, first.Fence)
		}
	})
	s.run("beside other waiters", transferBesideWaiters)
	s.run("each by itself", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		ask(s, s.d.Acquire, a, b, c)
		nextA, nextB, nextC := request(a.Name, lease), request(b.Name, lease), request(c.Name, lease)
		wrong := claim(nextB)
		grants := ask(s, s.d.Transfer, dialect.Transfer{Claim: claim(a), Next: nextA},
			dialect.Transfer{Claim: wrong, Next: nextB},
			dialect.Transfer{Claim: claim(c), Next: nextC})
		if !grants[0].Granted || grants[1] != (dialect.Grant{}) || !grants[2].Granted {
			s.Fatalf("Transfer returned %+v", grants)
		}
		s.held(nextA, grants[0].Fence)
		s.held(nextC, grants[2].Fence)
		if !s.release(claim(b)) {
			s.Error("the one that was refused isn't its owner's any more")
		}
	})
}

// passed checks that the row is the next acquisition's in all its columns.
func passed(s *suite) {
	r := request(unique("lock"), s.lease(long))
	r.Slot = 2
	fence := s.take(r)
	before := s.held(r, fence)
	next := request(r.Name, s.lease(short))
	next.Slot, next.Note, next.HoldAtLeast, next.LockDelay = 2, "the next one's", time.Minute, time.Hour
	time.Sleep(4 * tick)
	sent := time.Now()
	g := s.transfer(r, next)
	if !g.Granted || g.Fence <= fence {
		s.Fatalf("%+v, after fence %d", g, fence)
	}
	row := s.held(next, g.Fence)
	s.remaining("HoldAtLeast", row.FreeIn, next.HoldAtLeast, sent)
	if row.Note != next.Note || !row.AcquiredAt.After(before.AcquiredAt) {
		s.Errorf("the row went from %+v to %+v", before, row)
	}
	if apart := row.AcquiredAt.Sub(time.UnixMicro(g.Fence)).Abs(); apart > atOnce {
		s.Errorf("acquired at %s, %s from the fence", row.AcquiredAt, apart)
	}
	if s.release(claim(r)) {
		s.Error("it is still the first one's, too")
	}
	s.waitExpired(next.LeaseID)
	s.free(deadHolder(next, g.Fence))
	if row := s.get(r.Key); row.Held || row.FreeIn < 2*time.Minute {
		s.Errorf("freed after the next one died, with a LockDelay of an hour: %+v", row)
	}
}

// transferRefused checks that a lock that isn't the claim's owner's stays unchanged.
func transferRefused(s *suite) {
	lease := s.lease(long)
	r := request(unique("lock"), lease)
	fence := s.take(r)
	before := s.held(r, fence)
	stranger, slot, next := request(r.Name, lease), r, request(r.Name, lease)
	slot.Slot = 1
	nextSlot := next
	nextSlot.Slot = 1
	for what, p := range map[string]dialect.Transfer{
		"another's":    {Claim: claim(stranger), Next: next},
		"another slot": {Claim: claim(slot), Next: nextSlot},
	} {
		if g := ask(s, s.d.Transfer, p)[0]; g != (dialect.Grant{}) {
			s.Errorf("%s: %+v", what, g)
		}
	}
	if after := s.held(r, fence); still(after) != still(before) {
		s.Errorf("the row went from %+v to %+v", before, after)
	}
	if s.get(slot.Key).Exists {
		s.Error("Transfer made a row")
	}
	s.release(claim(r))
	if g := s.transfer(r, next); g != (dialect.Grant{}) || s.get(r.Key).Held {
		s.Errorf("transferred after its release: %+v", g)
	}
}

// transferBesideWaiters checks that a live waiter under another lease comes first.
func transferBesideWaiters(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	// it may be the process's own next request, and doesn't block it
	s.enqueue(waiter(request(r.Name, r.LeaseID)))
	s.enqueue(waiter(request(r.Name, s.dead())))
	gone := s.waits(r.Name, "")
	s.drop(gone.LeaseID)
	elsewhere := request(r.Name, s.lease(long))
	elsewhere.Slot = 1
	s.enqueue(waiter(elsewhere))
	s.waits(unique("lock"), "")
	other := s.waits(r.Name, "")
	next := request(r.Name, r.LeaseID)
	if g := s.transfer(r, next); g != (dialect.Grant{}) {
		s.Fatalf("%+v, past another waiter", g)
	}
	s.held(r, fence)
	s.dequeue(other)
	g := s.transfer(r, next)
	if !g.Granted {
		s.Fatalf("refused, and those in the queue are dead or its own; the row is %+v", s.get(r.Key))
	}
	s.held(next, g.Fence)
	s.release(claim(next))
}
