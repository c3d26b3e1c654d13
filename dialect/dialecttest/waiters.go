package dialecttest

import (
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// waiters checks the waiters for a lock, in order of arrival.
func waiters(s *suite) {
	s.run("first come, first in it", func(s *suite) {
		key := dialect.Key{Name: unique("lock")}
		var all []dialect.Request
		last := int64(0)
		for i := range 5 {
			r := request(key.Name, s.lease(long))
			position := s.enqueue(waiter(r))
			if position.Ticket <= last || position.First != (i == 0) {
				s.Errorf("%d: %+v, after ticket %d", i, position, last)
			}
			last, all = position.Ticket, append(all, r)
		}
		s.queued(key, all...)
	})
	s.run("several in one call", severalWait)
	s.run("sent again", func(s *suite) {
		name := unique("lock")
		a, b := request(name, s.lease(long)), request(name, s.lease(long))
		first, second := s.enqueue(waiter(a)), s.enqueue(waiter(b))
		if again := s.enqueue(waiter(a)); again != first {
			s.Errorf("the first sent again is %+v, was %+v", again, first)
		}
		if again := s.enqueue(waiter(b)); again != second {
			s.Errorf("the second sent again is %+v, was %+v", again, second)
		}
		s.queued(a.Key, a, b)
		if !s.dequeue(a) || s.dequeue(a) {
			s.Error("it was in the queue more often than once, or not at all")
		}
		if again := s.enqueue(waiter(b)); again != (dialect.QueuePosition{Ticket: second.Ticket, First: true}) {
			s.Errorf("the second, now alone, is %+v, was %+v", again, second)
		}
		if again := s.enqueue(waiter(a)); again.Ticket <= second.Ticket || again.First {
			s.Errorf("the first, enqueued again behind %+v, is %+v", second, again)
		}
	})
	s.run("dead ones before it", func(s *suite) {
		name := unique("lock")
		gone := s.waits(name, "")
		s.enqueue(waiter(request(name, s.dead())))
		living := request(name, s.lease(long))
		if position := s.enqueue(waiter(living)); position.First {
			s.Errorf("behind a live one: %+v", position)
		}
		s.drop(gone.LeaseID)
		if position := s.enqueue(waiter(living)); !position.First {
			s.Errorf("behind dead ones only: %+v", position)
		}
	})
	s.run("out of it", func(s *suite) {
		name := unique("lock")
		a, b, c := s.waits(name, ""), s.waits(name, ""), s.waits(name, "")
		if s.dequeue(request(name, a.LeaseID)) {
			s.Error("a waiter was dequeued that was never in the queue")
		}
		if !s.dequeue(b) {
			s.Error("Dequeue reports that it wasn't in the queue")
		}
		s.queued(a.Key, a, c)
		if s.dequeue(b) {
			s.Error("dequeued twice")
		}
		if got := ask(s, s.d.Dequeue, claim(c), claim(b), claim(a)); !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Dequeue returned %t", got)
		}
		s.queued(a.Key)
	})
	s.run("several at once", func(s *suite) {
		x, y := unique("x"), unique("y")
		there := s.waits(x, "")
		asked := []dialect.Waiter{waiter(request(y, s.lease(long))), waiter(there), waiter(request(x, s.lease(long)))}
		positions := ask(s, s.d.Enqueue, asked...)
		for i, first := range []bool{true, true, false} {
			if positions[i].First != first || positions[i].Ticket == 0 {
				s.Errorf("%d: %+v", i, positions[i])
			}
		}
		s.queued(there.Key, there, asked[2].Request)
		s.queued(asked[0].Key, asked[0].Request)
	})
	s.run("an empty slice", func(s *suite) {
		ask(s, s.d.Enqueue)
		ask(s, s.d.Dequeue)
		ask(s, s.d.Transfer)
	})
	s.run("has nothing to do with the lock", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.enqueue(waiter(r))
		if s.get(r.Key).Exists {
			s.Error("Enqueue made a lock row")
		}
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		s.dequeue(r)
		s.held(next, fence)
	})
}

// purgeWaiters checks that only waiters whose lease is dead are purged.
func purgeWaiters(s *suite) {
	name := unique("lock")
	a, gone, b := s.waits(name, ""), s.waits(name, ""), s.waits(unique("other"), "")
	s.drop(gone.LeaseID)
	dead := s.dead()
	for range 4 {
		s.enqueue(waiter(request(unique("lock"), dead)))
	}
	if n := s.purgeWaiters(0); n != 0 {
		s.Errorf("PurgeWaiters with limit 0 returned %d", n)
	}
	for _, want := range []int{2, 2, 1, 0} {
		if n := s.purgeWaiters(2); n != want {
			s.Errorf("PurgeWaiters of at most 2 returned %d, want %d", n, want)
		}
	}
	s.queued(a.Key, a)
	s.queued(b.Key, b)
	if s.dequeue(gone) || !s.dequeue(a) || !s.dequeue(b) {
		s.Error("not those whose lease is dead were purged")
	}
}

// severalWait checks each waiter of a call separately, including those of one queue and those that
// are already in it.
func severalWait(s *suite) {
	lease := s.lease(long)
	all := make([]dialect.Waiter, 8)
	for i := range all {
		r := request(unique("lock"), lease)
		r.Note = unique("note")
		all[i] = dialect.Waiter{Request: r, Holds: unique("holds")}
	}
	before := s.waits(all[0].Name, "")
	positions := ask(s, s.d.Enqueue, all...)
	for i, w := range all {
		queue := s.queue(w.Key, 10)
		if positions[i].First != (i > 0) || len(queue) == 0 {
			s.Fatalf("%d: %+v, in the queue %+v", i, positions[i], queue)
		}
		last := queue[len(queue)-1]
		if last.Owner != w.Owner || last.Ticket != positions[i].Ticket || last.Note != w.Note ||
			last.Holds != w.Holds ||
			last.LeaseID != lease {
			s.Errorf("%d, at %+v: %+v, want %+v", i, positions[i], last, w)
		}
	}
	if again := ask(s, s.d.Enqueue, all...); !slices.Equal(again, positions) {
		s.Errorf("sent again: %+v, were %+v", again, positions)
	}
	behind := waiter(request(all[1].Name, lease))
	next := ask(s, s.d.Enqueue, all[2], behind, all[1], behind)
	if next[0] != positions[2] || next[2] != positions[1] || next[1] != next[3] || next[1].First ||
		next[1].Ticket <= positions[1].Ticket {
		s.Errorf("two of one queue in a call: %+v, after %+v", next, positions)
	}
	stranger := claim(all[3].Request)
	stranger.Owner = all[4].Owner
	claims := []dialect.Claim{stranger}
	for _, w := range all {
		claims = append(claims, claim(w.Request))
	}
	if got := ask(s, s.d.Dequeue, claims...); got[0] || slices.Contains(got[1:], false) {
		s.Errorf("dequeued: %t", got)
	}
	if got := ask(s, s.d.Dequeue, claims...); slices.Contains(got, true) {
		s.Errorf("dequeued again: %t", got)
	}
	s.queued(all[0].Key, before)
	s.queued(all[1].Key, behind.Request)
}
