package dialecttest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// waitersBlocked checks what waits for a transaction of the application's, and what doesn't.
func waitersBlocked(s *suite) {
	s.run("Transfer waits behind a guard", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		next := request(r.Name, r.LeaseID)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		s.waitsFor(tx, "Transfer", func(ctx context.Context) ([]bool, error) {
			grants, err := s.d.Transfer(ctx, []dialect.Transfer{{Claim: claim(r), Next: next}})
			return []bool{err == nil && grants[0].Granted}, err
		})
		if !s.release(claim(next)) {
			s.Error("it isn't the next one's")
		}
	})
	s.run("Queue goes on", func(s *suite) {
		r := s.waits(unique("lock"), "")
		tx := s.begin(0)
		_, err := tx.Exec(s.ctx, "UPDATE sqllock_waiters SET note = 'busy' WHERE owner = '"+r.Owner+"'")
		s.must(err)
		s.quickly("Queue, ListWaiters and WaitingHolders", func(s *suite) {
			s.waitingHolders(0, 10)
			if got := s.listed(r); len(got) != 1 || got[0].Note != r.Note {
				s.Errorf("beside another's change the list has %+v", got)
			}
			if got := s.queue(r.Key, 10); len(got) != 1 || got[0].Note != r.Note {
				s.Errorf("beside another's change: %+v", got)
			}
		})
		s.must(tx.Rollback())
	})
	if s.SingleWriter {
		return
	}
	s.run("a waiter may go while a release waits", waiterGoes)
	if s.Powers.Notifier {
		s.run("a release passes over", releasePassesOver)
	}
	s.run("PurgeWaiters passes over", func(s *suite) {
		dead := s.dead()
		busy, free := request(unique("lock"), dead), request(unique("lock"), dead)
		ask(s, s.d.Enqueue, waiter(busy), waiter(free))
		tx := s.begin(0)
		_, err := tx.Exec(s.ctx, "UPDATE sqllock_waiters SET note = 'busy' WHERE owner = '"+busy.Owner+"'")
		s.must(err)
		s.quickly("PurgeWaiters", func(s *suite) { s.purgeWaiters(100) })
		s.must(tx.Rollback())
		if s.dequeue(free) || !s.dequeue(busy) {
			s.Error("the waiter that isn't locked wasn't the one purged")
		}
	})
}

// waiterGoes checks that a release that waits behind a guard doesn't keep a waiter from giving up.
func waiterGoes(s *suite) {
	r := request(unique("lock"), s.lease(long))
	s.take(r)
	first, second := s.waits(r.Name, "nobody"), s.waits(r.Name, "")
	tx := s.begin(0)
	s.guard(tx, claim(r))
	released := make(chan error, 1)
	go func() {
		_, err := retryTransient(s, func(ctx context.Context) ([]bool, error) {
			return s.d.Release(ctx, []dialect.Claim{claim(r)})
		})
		released <- err
	}()
	time.Sleep(100 * time.Millisecond)
	s.quickly("Dequeue and Enqueue", func(s *suite) {
		if !s.dequeue(first) || !s.dequeue(second) {
			s.Error("not in the queue any more, and the lock isn't free yet")
		}
		s.enqueue(waiter(request(r.Name, s.lease(long))))
	})
	s.must(tx.Commit())
	s.must(<-released)
	if row := s.get(r.Key); row.Held {
		s.Errorf("held after its release: %+v", row)
	}
}

// releasePassesOver checks that a waiter whose row is locked, since it may be giving up, isn't
// waited for. The next one gets the lock.
func releasePassesOver(s *suite) {
	for _, others := range []int{0, 1} {
		r, _ := s.taken()
		busy, next := s.waits(r.Name, "nobody"), s.waits(r.Name, "nobody")
		claims := []dialect.Claim{claim(r)}
		for range others {
			other, _ := s.taken()
			claims = append(claims, claim(other))
		}
		tx := s.begin(0)
		_, err := tx.Exec(s.ctx, "UPDATE sqllock_waiters SET note = 'busy' WHERE owner = '"+busy.Owner+"'")
		s.must(err)
		s.quickly("Release", func(s *suite) { s.released(claims...) })
		s.must(tx.Rollback())
		s.queued(r.Key, busy)
		s.held(next, s.get(r.Key).Fence)
	}
}
