package dialecttest

import (
	"github.com/sqllock/sqllock/dialect"
)

// acquire checks that a row is taken if it is missing, free, or already the owner's, and never from
// a lease, dead or alive.
func acquire(s *suite) {
	s.run("a row that was never there", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.Note = "for people"
		fence := s.take(r)
		if fence <= 0 {
			s.Errorf("fence %d", fence)
		}
		row := s.held(r, fence)
		if !row.Exists || row.Note != r.Note || row.Holder != "holder of "+r.LeaseID ||
			row.Lease != dialect.LeaseLive ||
			row.Remaining <= 0 || row.Remaining > long+slack || row.FreeIn > 0 {
			s.Errorf("the row is %+v", row)
		}
	})
	s.run("held by another", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		before := s.held(r, fence)
		s.refused(request(r.Name, r.LeaseID)) // the same process, another acquisition
		s.refused(request(r.Name, s.lease(long)))
		if after := s.held(r, fence); still(after) != still(before) {
			s.Errorf("a refusal changed the row from %+v to %+v", before, after)
		}
	})
	s.run("held by a dead lease", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		fence, other := s.take(r), request(r.Name, s.lease(long))
		s.eventually("lease runs out", func() bool { return s.get(r.Key).Lease == dialect.LeaseExpired })
		s.refused(other)
		s.waitExpired(r.LeaseID)
		s.refused(other)
		if row := s.held(r, fence); row.Lease != dialect.LeaseGone {
			s.Errorf("the row is %+v", row)
		}
	})
	s.run("sent again", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		first := s.take(r)
		second := s.take(r)
		if second < first {
			s.Errorf("fence %d after %d", second, first)
		}
		s.held(r, second)
		if !s.release(claim(r)) {
			s.Error("the lock isn't its owner's after the request was sent twice")
		}
	})
	s.run("freed and taken by another", func(s *suite) {
		a, b := request(unique("lock"), s.lease(long)), s.lease(long)
		first := s.take(a)
		s.release(claim(a))
		next := request(a.Name, b)
		next.Note = "next"
		if row := s.held(next, s.take(next)); row.Fence <= first || row.Note != "next" {
			s.Errorf("the row is %+v after fence %d", row, first)
		}
		s.refused(a)
	})
	s.run("slots and names are locks of their own", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		for slot := 1; slot < 4; slot++ {
			next := request(r.Name, r.LeaseID)
			next.Slot = slot
			s.held(next, s.take(next))
		}
		s.take(request(r.Name+"/x", r.LeaseID))
		s.refused(request(r.Name, r.LeaseID))
	})
}
