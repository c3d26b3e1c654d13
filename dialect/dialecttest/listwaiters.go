package dialecttest

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// listWaitersContract checks reads of the live waiters of all queues that hold nothing. Those of
// other tests may be among them.
func listWaitersContract(s *suite) {
	s.run("what it returns", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.Note, r.Slot = "a note", 3
		position := s.enqueue(waiter(r))
		got := s.listed(r)
		if len(got) != 1 {
			s.Fatalf("the list has %+v", got)
		}
		want := dialect.Waiting{
			Key: r.Key, Ticket: position.Ticket, Owner: r.Owner, LeaseID: r.LeaseID, Holder: "holder of " + r.LeaseID,
			Note: r.Note, Since: got[0].Since,
		}
		if queue := s.queue(r.Key, 1); got[0] != want || len(queue) != 1 || queue[0] != want {
			s.Errorf("the list has %+v, and the queue %+v; want %+v", got[0], queue, want)
		}
		s.dequeue(r)
		if got := s.listed(r); len(got) != 0 {
			s.Errorf("the list still has %+v", got)
		}
	})
	s.run("only live ones that hold nothing", func(s *suite) {
		name := unique("lock")
		holds, gone, run := request(name, s.lease(long)), request(name, s.lease(long)), request(name, s.lease(short))
		living := request(name, s.lease(long))
		s.enqueue(dialect.Waiter{Request: holds, Holds: "x"})
		for _, r := range []dialect.Request{gone, run, living} {
			s.enqueue(waiter(r))
		}
		s.drop(gone.LeaseID)
		s.eventually("lease runs out", func() bool { return len(s.listed(run)) == 0 })
		if got := s.listed(holds, gone, run, living); len(got) != 1 || got[0].Owner != living.Owner {
			s.Errorf("the list has %+v, want %+v", got, living)
		}
	})
	s.run("page by page", func(s *suite) { waitersByPage(s, "", s.listWaiters) })
}

// waitersByPage checks that read returns pages of waiters in the order of their tickets. holds is
// what the waiters hold.
func waitersByPage(s *suite, holds string, read func(after int64, limit int) []dialect.Waiting) {
	lease := s.lease(long)
	var all []dialect.Request
	var first dialect.QueuePosition
	for i := range 5 {
		all = append(all, request(unique("lock"), lease))
		if position := s.enqueue(dialect.Waiter{Request: all[i], Holds: holds}); i == 0 {
			first = position
		}
	}
	got := read(first.Ticket-1, 2)
	if len(got) != 2 || got[0].Owner != all[0].Owner || got[1].Ticket <= got[0].Ticket {
		s.Fatalf("the first two from %+v on are %+v", first, got)
	}
	if next := read(got[0].Ticket, 1); len(next) != 1 || next[0] != got[1] {
		s.Errorf("the next is %+v, want %+v", next, got[1])
	}
	if none := read(0, 0); len(none) != 0 {
		s.Errorf("with limit 0: %+v", none)
	}
	inOrder := func(w dialect.Waiting, r dialect.Request) bool { return w.Owner == r.Owner }
	if got := pagesOf(read, all); !slices.EqualFunc(got, all, inOrder) {
		s.Errorf("all pages have %+v, want %+v", got, all)
	}
}

func (s *suite) listWaiters(after int64, limit int) []dialect.Waiting {
	s.Helper()
	return s.waitingBy(s.d.ListWaiters, after, limit)
}

// listed lists all waiters that hold nothing, and returns those of the requests.
func (s *suite) listed(requests ...dialect.Request) []dialect.Waiting {
	s.Helper()
	return pagesOf(s.listWaiters, requests)
}

// waitingBy reads a page of waiters.
func (s *suite) waitingBy(
	read func(ctx context.Context, after int64, limit int) ([]dialect.Waiting, error), after int64, limit int,
) []dialect.Waiting {
	s.Helper()
	found, err := retryTransient(s, func(ctx context.Context) ([]dialect.Waiting, error) {
		return read(ctx, after, limit)
	})
	s.must(err)
	return found
}

// pagesOf reads all pages, and returns the waiters of the requests.
func pagesOf(
	read func(after int64, limit int) []dialect.Waiting, requests []dialect.Request,
) (found []dialect.Waiting) {
	const page = 100
	for after := int64(0); ; {
		all := read(after, page)
		for _, w := range all {
			if slices.ContainsFunc(requests, func(r dialect.Request) bool { return r.Owner == w.Owner }) {
				found = append(found, w)
			}
		}
		if len(all) < page {
			return found
		}
		after = all[page-1].Ticket
	}
}
