package dialecttest

import (
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// free checks that a lock that a dead lease holds is freed by comparing and swapping on what was
// read.
func free(s *suite) {
	s.run("once", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		if !s.free(o) {
			s.Fatal("Free refused")
		}
		if row := s.get(r.Key); !row.Exists || row.Held || row.Owner != "" || row.Fence != o.Fence || row.FreeIn > 0 {
			s.Errorf("the free row is %+v", row)
		}
		if s.free(o) || s.release(claim(r)) {
			s.Error("freed twice")
		}
	})
	s.run("only as it was seen", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		before := s.held(r, o.Fence)
		lease, later, earlier, slot, name := o, o, o, o, o
		lease.LeaseID, later.Fence, earlier.Fence = s.lease(long), o.Fence+1, o.Fence-1
		slot.Slot, name.Name = 1, unique("x")
		for _, wrong := range []dialect.DeadHolder{lease, later, earlier, slot, name} {
			if s.free(wrong) {
				s.Errorf("%+v freed the lock of %+v", wrong, o)
			}
		}
		if after := s.held(r, o.Fence); still(after) != still(before) {
			s.Errorf("refusals changed the row from %+v to %+v", before, after)
		}
	})
	s.run("not its next holder's", func(s *suite) {
		r, o := s.holderDied(request(unique("lock"), ""))
		s.free(o)
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		if s.free(o) {
			s.Error("the next holder's lock was freed")
		}
		s.held(next, fence)
	})
	s.run("by one of many", func(s *suite) {
		s.keepIdle(16)
		name := unique("lock")
		for range 8 {
			r, o := s.holderDied(request(name, ""))
			if n := s.contest(8, func() bool { return s.free(o) }, func() bool { return s.release(claim(r)) }); n != 1 {
				s.Fatalf("released by %d", n)
			}
		}
	})
}

// contest runs each of the calls the given number of times concurrently, and counts those that
// return true.
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
