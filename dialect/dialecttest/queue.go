package dialecttest

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// queueContract checks reads of the live waiters for one lock.
func queueContract(s *suite) {
	s.run("what it returns", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.Note = "a note, \u00e1 'quoted' \\ one"
		position := s.enqueue(waiter(r))
		time.Sleep(4 * tick)
		later := s.waits(r.Name, "")
		got := s.queue(r.Key, 10)
		if len(got) != 2 {
			s.Fatalf("%+v wait", got)
		}
		want := dialect.Waiting{
			Key: r.Key, Ticket: position.Ticket, Owner: r.Owner, LeaseID: r.LeaseID, Holder: "holder of " + r.LeaseID,
			Note: r.Note, Since: got[0].Since,
		}
		if got[0] != want || got[1].Owner != later.Owner || got[1].Note != later.Note {
			s.Errorf("%+v wait, want first %+v", got, want)
		}
		if off := time.Since(got[0].Since); off > 10*time.Minute || off < -10*time.Minute {
			s.Errorf("Since %s is %s ago: another time zone?", got[0].Since, off)
		}
		if apart := got[1].Since.Sub(got[0].Since); apart < 4*tick-slack || apart > soon {
			s.Errorf("the second came %s after the first", apart)
		}
	})
	s.run("only so many", func(s *suite) {
		name := unique("lock")
		a, b, _ := s.waits(name, ""), s.waits(name, ""), s.waits(name, "")
		if got := s.queue(a.Key, 2); len(got) != 2 || got[0].Owner != a.Owner || got[1].Owner != b.Owner {
			s.Errorf("the first two are %+v", got)
		}
		if got := s.queue(a.Key, 0); len(got) != 0 {
			s.Errorf("with limit 0: %+v", got)
		}
	})
	s.run("only live ones", func(s *suite) {
		name := unique("lock")
		gone, run := s.waits(name, ""), request(name, s.lease(short))
		s.enqueue(waiter(run))
		living := s.waits(name, "")
		s.drop(gone.LeaseID)
		s.eventually("lease runs out", func() bool { return len(s.queue(run.Key, 10)) == 1 })
		s.queued(run.Key, living)
	})
	s.run("only that lock's", func(s *suite) {
		lease := s.lease(long)
		var all []dialect.Waiter
		for _, name := range names() {
			for slot := range 2 {
				r := request(name, lease)
				r.Slot, r.Note = slot, name
				all = append(all, waiter(r))
			}
		}
		ask(s, s.d.Enqueue, all...)
		for _, w := range all {
			if got := s.queue(w.Key, 10); len(got) != 1 || got[0].Owner != w.Owner || got[0].Key != w.Key ||
				got[0].Note != w.Note {
				s.Errorf("for %q, slot %d: %+v", w.Name, w.Slot, got)
			}
		}
		wrong := claim(all[0].Request)
		wrong.Slot = 1
		if ask(s, s.d.Dequeue, wrong)[0] {
			s.Error("dequeued from another slot's queue")
		}
	})
}
