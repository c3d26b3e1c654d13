package dialecttest

import (
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// waitingHoldersContract checks reads of the live waiters of all queues that hold something. Those
// of other tests may be among them.
func waitingHoldersContract(s *suite) {
	s.run("what it returns", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.Note, r.Slot = "a note", 3
		holds := unique("owner") + " " + unique("owner")
		position := s.enqueue(dialect.Waiter{Request: r, Holds: holds})
		got := s.holders(r)
		if len(got) != 1 {
			s.Fatalf("%+v hold something", got)
		}
		want := dialect.Waiting{
			Key: r.Key, Ticket: position.Ticket, Owner: r.Owner, LeaseID: r.LeaseID, Holder: "holder of " + r.LeaseID,
			Note: r.Note, Since: got[0].Since, Holds: holds,
		}
		if queue := s.queue(r.Key, 1); got[0] != want || len(queue) != 1 || queue[0] != want {
			s.Errorf("%+v holds something, and %+v waits; want %+v", got[0], queue, want)
		}
	})
	s.run("sent again", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		position := s.enqueue(dialect.Waiter{Request: r, Holds: "x"})
		if again := s.enqueue(dialect.Waiter{Request: r, Holds: "x"}); again != position {
			s.Errorf("%+v, was %+v", again, position)
		}
		if got := s.holders(r); len(got) != 1 || got[0].Holds != "x" {
			s.Errorf("%+v hold something", got)
		}
		s.dequeue(r)
		if got := s.holders(r); len(got) != 0 {
			s.Errorf("%+v still hold something", got)
		}
	})
	s.run("only live ones that hold something", func(s *suite) {
		name := unique("lock")
		nothing, gone, run := s.waits(name, ""), request(name, s.lease(long)), request(name, s.lease(short))
		living := request(name, s.lease(long))
		for _, r := range []dialect.Request{gone, run, living} {
			s.enqueue(dialect.Waiter{Request: r, Holds: "x"})
		}
		s.drop(gone.LeaseID)
		s.eventually("lease runs out", func() bool { return len(s.holders(run)) == 0 })
		if got := s.holders(nothing, gone, run, living); len(got) != 1 || got[0].Owner != living.Owner {
			s.Errorf("%+v hold something, want %+v", got, living)
		}
	})
	s.run("page by page", func(s *suite) { waitersByPage(s, "x", s.waitingHolders) })
	s.run("ten thousand locks", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		holds := strings.TrimSpace(strings.Repeat("ABCDEFGHIJKLMNOPQRSTUVWXYZ ", 10000))
		s.enqueue(dialect.Waiter{Request: r, Holds: holds})
		if got := s.holders(r); len(got) != 1 || got[0].Holds != holds {
			s.Errorf("%d rows, or not all of what was written", len(got))
		}
		s.dequeue(r)
	})
}

func (s *suite) waitingHolders(after int64, limit int) []dialect.Waiting {
	s.Helper()
	return s.waitingBy(s.d.WaitingHolders, after, limit)
}

// holders reads all waiters that hold something, and returns those of the requests.
func (s *suite) holders(requests ...dialect.Request) []dialect.Waiting {
	s.Helper()
	return pagesOf(s.waitingHolders, requests)
}
