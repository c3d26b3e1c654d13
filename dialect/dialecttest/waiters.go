package dialecttest

import (
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// waiters: who waits for a lock, in the order in which they came.
func waiters(s *suite) {
	s.run("first come, first in it", func(s *suite) {
		key := dialect.Key{Name: unique("lock")}
		var all []dialect.Request
		last := int64(0)
		for i := range 5 {
			r := request(key.Name, s.lease(long))
			place := s.enqueue(waiter(r))
			if place.Ticket <= last || place.First != (i == 0) {
				s.Errorf("%d: %+v, after ticket %d", i, place, last)
			}
			last, all = place.Ticket, append(all, r)
		}
		s.queued(key, all...)
	})
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
		if again := s.enqueue(waiter(b)); again != (dialect.Place{Ticket: second.Ticket, First: true}) {
			s.Errorf("the second, now alone, is %+v, was %+v", again, second)
		}
		if again := s.enqueue(waiter(a)); again.Ticket <= second.Ticket || again.First {
			s.Errorf("the first, come again behind %+v, is %+v", second, again)
		}
	})
	s.run("those before it who have died", func(s *suite) {
		name := unique("lock")
		gone := s.waits(name, "")
		s.enqueue(waiter(request(name, s.dead())))
		living := request(name, s.lease(long))
		if place := s.enqueue(waiter(living)); place.First {
			s.Errorf("behind one who lives: %+v", place)
		}
		s.drop(gone.LeaseID)
		if place := s.enqueue(waiter(living)); !place.First {
			s.Errorf("behind those only who are dead: %+v", place)
		}
	})
	s.run("out of it", func(s *suite) {
		name := unique("lock")
		a, b, c := s.waits(name, ""), s.waits(name, ""), s.waits(name, "")
		if s.dequeue(request(name, a.LeaseID)) {
			s.Error("somebody was dequeued who had never come")
		}
		if !s.dequeue(b) {
			s.Error("Dequeue answered that it wasn't in the queue")
		}
		s.queued(a.Key, a, c)
		if s.dequeue(b) {
			s.Error("dequeued twice")
		}
		if got := ask(s, s.d.Dequeue, claim(c), claim(b), claim(a)); !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Dequeue answered %t", got)
		}
		s.queued(a.Key)
	})
	s.run("several at once", func(s *suite) {
		x, y := unique("x"), unique("y")
		there := s.waits(x, "")
		asked := []dialect.Waiter{waiter(request(y, s.lease(long))), waiter(there), waiter(request(x, s.lease(long)))}
		places := ask(s, s.d.Enqueue, asked...)
		for i, first := range []bool{true, true, false} {
			if places[i].First != first || places[i].Ticket == 0 {
				s.Errorf("%d: %+v", i, places[i])
			}
		}
		s.queued(there.Key, there, asked[2].Request)
		s.queued(asked[0].Key, asked[0].Request)
	})
	s.run("none", func(s *suite) {
		ask(s, s.d.Enqueue)
		ask(s, s.d.Dequeue)
		ask(s, s.d.Pass)
	})
	s.run("has nothing to do with the lock", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.enqueue(waiter(r))
		if s.look(r.Key).Exists {
			s.Error("Enqueue made a lock row")
		}
		next := request(r.Name, s.lease(long))
		fence := s.take(next)
		s.dequeue(r)
		s.held(next, fence)
	})
}

// purgeWaiters: those whose lease is dead, and nobody else.
func purgeWaiters(s *suite) {
	name := unique("lock")
	a, gone, b := s.waits(name, ""), s.waits(name, ""), s.waits(unique("other"), "")
	s.drop(gone.LeaseID)
	dead := s.dead()
	for range 4 {
		s.enqueue(waiter(request(unique("lock"), dead)))
	}
	if n := s.purgeWaiters(0); n != 0 {
		s.Errorf("PurgeWaiters of at most none answered %d", n)
	}
	for _, want := range []int{2, 2, 1, 0} {
		if n := s.purgeWaiters(2); n != want {
			s.Errorf("PurgeWaiters of at most 2 answered %d, want %d", n, want)
		}
	}
	s.queued(a.Key, a)
	s.queued(b.Key, b)
	if s.dequeue(gone) || !s.dequeue(a) || !s.dequeue(b) {
		s.Error("not those whose lease is dead were purged")
	}
}
