package dialecttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// blocked checks what neither a guard nor another transaction blocks.
func blocked(s *suite) {
	s.run("reads go on", readsGoOn)
	s.run("a row that another is making", func(s *suite) { rowBeingMade(s, Tx.Commit, false) })
	s.run("a row that another has not made after all", func(s *suite) { rowBeingMade(s, Tx.Rollback, true) })
	if s.SingleWriter {
		return
	}
	s.run("two guards at once", twoGuards)
	s.run("the lease goes on", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		s.take(r)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		s.quickly("a heartbeat", func(s *suite) { s.renew(r.LeaseID) })
		s.eventually("lease runs out", func() bool {
			s.quickly("an expiry", func(s *suite) { s.expire(r.LeaseID) })
			return s.expire(r.LeaseID).Dead
		})
		s.must(tx.Commit())
	})
	s.run("the other locks of a batch", func(s *suite) {
		r, free := request(unique("b"), s.lease(long)), request(unique("c"), "")
		fence := s.take(r)
		free.LeaseID = r.LeaseID
		s.take(free)
		s.release(claim(free))
		_, dead := s.holderDied(request(unique("a"), ""))
		s.drop(r.LeaseID)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		next := s.lease(long)
		s.quickly("a batch of acquires", func(s *suite) {
			grants := ask(s, s.d.Acquire, request(unique("new"), next), request(r.Name, next), request(free.Name, next))
			if !grants[0].Granted || grants[1].Granted || !grants[2].Granted {
				s.Errorf("Acquire returned %+v", grants)
			}
		})
		s.quickly("a batch of frees", func(s *suite) {
			if got := ask(s, s.d.Free, dead, deadHolder(r, fence)); !slices.Equal(got, []bool{true, false}) {
				s.Errorf("Free returned %t", got)
			}
		})
		s.must(tx.Commit())
	})
	s.run("the other releases of a batch", otherReleases)
	s.run("a batch beside locked rows", besideOthers)
	s.run("the reaper's leases", func(s *suite) {
		busy, dead := s.lease(time.Millisecond), s.lease(time.Millisecond)
		time.Sleep(4 * tick)
		tx := s.begin(0)
		_, err := tx.Exec(s.ctx, "UPDATE sqllock_leases SET ttl = ttl + 1 WHERE id = '"+busy+"'")
		s.must(err)
		s.quickly("DeleteExpired", func(s *suite) {
			n, err := s.d.DeleteExpired(s.ctx, 0, 100)
			s.must(err)
			if n == 0 || s.renew(dead) {
				s.Errorf("DeleteExpired returned %d beside a locked row", n)
			}
		})
		s.must(tx.Rollback())
		if b := s.expire(busy); !b.Dead || b.ExpiredFor <= 0 {
			s.Errorf("the row that was skipped: %+v", b)
		}
	})
	s.run("a release whose caller gives up", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		ctx, cancel := context.WithTimeout(s.ctx, short)
		defer cancel()
		s.quickly("giving up", func(s *suite) {
			_, err := s.d.Release(ctx, []dialect.Claim{claim(r)})
			if class := s.d.Classify(err); !errors.Is(err, context.DeadlineExceeded) || class != dialect.ClassUnknown {
				s.Errorf("Release: %v (class %s), want the ctx's error, unknown", err, class)
			}
		})
		s.must(tx.Commit())
		s.eventually("released at last", func() bool { return s.release(claim(r)) || !s.get(r.Key).Held })
	})
}

// twoGuards checks that two guards don't wait for each other, unless the engine has only exclusive
// guards.
func twoGuards(s *suite) {
	r := request(unique("lock"), s.lease(long))
	s.take(r)
	a, b := s.begin(0), s.begin(0)
	s.guard(a, claim(r))
	if s.ExclusiveGuards {
		s.waitsFor(a, "a second guard", func(ctx context.Context) ([]bool, error) {
			return s.d.Guard(ctx, b, []dialect.Claim{claim(r)})
		})
		s.must(b.Commit())
		return
	}
	s.quickly("a second guard", func(s *suite) {
		if got := s.guard(b, claim(r)); !got[0] {
			s.Error("the second guard was refused")
		}
	})
	s.must(a.Commit())
	s.must(b.Commit())
}

// readsGoOn checks that Get and List don't wait for uncommitted changes, and don't show them.
func readsGoOn(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	tx := s.begin(0)
	for _, query := range []string{"UPDATE sqllock_locks SET fence = fence + 1", "UPDATE sqllock_leases SET ttl = " +
		"ttl + 1"} {
		_, err := tx.Exec(s.ctx, query)
		s.must(err)
	}
	s.quickly("Get", func(s *suite) { s.held(r, fence) })
	s.quickly("List", func(s *suite) {
		for _, row := range s.page(dialect.Key{}, false, 100) {
			if row.Key == r.Key && row.Fence != fence {
				s.Errorf("List shows what isn't committed: %+v", row)
			}
		}
	})
	s.must(tx.Rollback())
}

// rowBeingMade checks two clients that have both found no row, of which one is slower. It is
// refused, and doesn't get an error about a duplicate key.
func rowBeingMade(s *suite, end func(Tx) error, granted bool) {
	first := request(unique("first"), s.lease(long))
	s.take(first)
	r := request(unique("lock"), first.LeaseID)
	tx := s.begin(0)
	columns := "slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay"
	_, err := tx.Exec(s.ctx, "INSERT INTO sqllock_locks (name, "+columns+") SELECT '"+r.Name+"', "+columns+
		" FROM sqllock_locks WHERE name = '"+first.Name+"'")
	s.must(err)
	done := make(chan dialect.Grant, 1)
	go func() {
		grants, err := retryTransient(s, func(ctx context.Context) ([]dialect.Grant, error) {
			return s.d.Acquire(ctx, []dialect.Request{r})
		})
		if err != nil {
			s.Errorf("Acquire: %v (class %s)", err, s.d.Classify(err))
			grants = make([]dialect.Grant, 1)
		}
		done <- grants[0]
	}()
	select {
	case g := <-done:
		done <- g // it may also refuse at once
	case <-time.After(100 * time.Millisecond):
	}
	s.must(end(tx))
	g := <-done
	switch {
	case !granted && g.Granted:
		s.Error("Acquire was granted beside another's")
	case !granted:
		s.refused(r)
	case g.Granted:
		s.held(r, g.Fence)
	default: // it has refused at once
		s.take(r)
	}
}
