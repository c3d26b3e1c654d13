package dialecttest

import (
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// release: who names the owner lets the lock go, once; nobody else changes anything.
func release(s *suite) {
	s.run("once", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		if !s.release(claim(r)) {
			s.Fatal("the owner's release was refused")
		}
		row := s.look(r.Key)
		if !row.Exists || row.Held || row.Fence != fence || row.FreeIn > 0 ||
			row.Owner != "" || row.LeaseID != "" || row.Holder != "" || row.Remaining != 0 || row.Lease != dialect.LeaseGone {
			s.Errorf("the free row is %+v", row)
		}
		if s.release(claim(r)) {
			s.Error("a second release was granted")
		}
	})
	s.run("not a stranger's", func(s *suite) {
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
			s.Errorf("a stranger changed the row from %+v to %+v", before, after)
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
		r, o := s.orphaned(request(unique("lock"), ""))
		if !s.release(claim(r)) {
			s.Error("the owner's release was refused")
		}
		if s.free(o) {
			s.Error("Free was granted after the release")
		}
	})
}

// free: what a dead lease holds is freed by comparing and swapping on what was seen of the row.
func free(s *suite) {
	s.run("once", func(s *suite) {
		r, o := s.orphaned(request(unique("lock"), ""))
		if !s.free(o) {
			s.Fatal("Free refused")
		}
		if row := s.look(r.Key); !row.Exists || row.Held || row.Owner != "" || row.Fence != o.Fence || row.FreeIn > 0 {
			s.Errorf("the free row is %+v", row)
		}
		if s.free(o) || s.release(claim(r)) {
			s.Error("freed twice")
		}
	})
	s.run("only as it was seen", func(s *suite) {
		r, o := s.orphaned(request(unique("lock"), ""))
		before := s.held(r, o.Fence)
		lease, later, earlier, slot, name := o, o, o, o, o
		lease.LeaseID, later.Fence, earlier.Fence, slot.Slot, name.Name = s.lease(long), o.Fence+1, o.Fence-1, 1, unique("x")
		for _, wrong := range []dialect.Orphan{lease, later, earlier, slot, name} {
			if s.free(wrong) {
				s.Errorf("%+v freed the lock of %+v", wrong, o)
			}
		}
		if after := s.held(r, o.Fence); still(after) != still(before) {
			s.Errorf("refusals changed the row from %+v to %+v", before, after)
		}
	})
	s.run("not its next holder's", func(s *suite) {
		r, o := s.orphaned(request(unique("lock"), ""))
		s.free(o)
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		if s.free(o) {
			s.Error("the next holder's lock was freed")
		}
		s.held(next, fence)
	})
	s.run("by one of many", func(s *suite) {
		if s.DB != nil {
			s.DB.SetMaxIdleConns(16)
		}
		name := unique("lock")
		for range 8 {
			r, o := s.orphaned(request(name, ""))
			if n := s.contest(8, func() bool { return s.free(o) }, func() bool { return s.release(claim(r)) }); n != 1 {
				s.Fatalf("let go by %d", n)
			}
		}
	})
}

// contest runs each of the calls so many times at once, and counts those that answered true.
func (s *suite) contest(times int, calls ...func() bool) int {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		won   int
		start = make(chan struct{})
	)
	for range times {
		for _, call := range calls {
			group.Go(func() {
				<-start
				if call() {
					mu.Lock()
					defer mu.Unlock()
					won++
				}
			})
		}
	}
	close(start)
	group.Wait()
	return won
}
