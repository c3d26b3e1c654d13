package dialecttest

import (
	"github.com/sqllock/sqllock/dialect"
)

// release checks that a claim that names the owner releases the lock, once, and that no other claim
// changes anything.
func release(s *suite) {
	s.run("once", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		if !s.release(claim(r)) {
			s.Fatal("the owner's release was refused")
		}
		row := s.get(r.Key)
		if !row.Exists || row.Held || row.Fence != fence || row.FreeIn > 0 ||
			row.Owner != "" || row.LeaseID != "" || row.Holder != "" || row.Remaining != 0 ||
			row.Lease != dialect.LeaseGone {
			s.Errorf("the free row is %+v", row)
		}
		if s.release(claim(r)) {
			s.Error("a second release was granted")
		}
	})
	s.run("not by another owner", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		before := s.held(r, fence)
		other := claim(request(r.Name, r.LeaseID))
		slot, name := claim(r), claim(r)
		slot.Slot, name.Name = 1, unique("never there")
		for _, c := range []dialect.Claim{other, slot, name} {
			if s.release(c) {
				s.Errorf("%+v released the lock of %+v", c, r)
			}
		}
		if after := s.held(r, fence); still(after) != still(before) {
			s.Errorf("another claim changed the row from %+v to %+v", before, after)
		}
	})
	s.run("not the one before", func(s *suite) {
		first := request(unique("lock"), s.lease(long))
		s.take(first)
		s.release(claim(first))
		second := request(first.Name, first.LeaseID)
		fence := s.take(second)
		if s.release(claim(first)) {
			s.Error("the previous owner released the lock")
		}
		s.held(second, fence)
	})
	s.run("also of a dead lease", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		if !s.release(claim(r)) {
			s.Error("the owner's release was refused")
		}
		if s.free(o) {
			s.Error("Free was granted after the release")
		}
	})
}
