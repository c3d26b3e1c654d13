package dialecttest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// blocked: what a guard, or any other transaction, doesn't keep waiting.
func blocked(s *suite) {
	s.run("reads go on", readsGoOn)
	s.run("a row that another is making", func(s *suite) { rowBeingMade(s, (*sql.Tx).Commit, false) })
	s.run("a row that another has not made after all", func(s *suite) { rowBeingMade(s, (*sql.Tx).Rollback, true) })
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
			s.quickly("a burial", func(s *suite) { s.bury(r.LeaseID) })
			return s.bury(r.LeaseID).Dead
		})
		s.must(tx.Commit())
	})
	s.run("the other locks of a batch", func(s *suite) {
		r, free := request(unique("b"), s.lease(long)), request(unique("c"), "")
		fence := s.take(r)
		free.LeaseID = r.LeaseID
		s.take(free)
		s.release(claim(free))
		_, dead := s.orphaned(request(unique("a"), ""))
		s.drop(r.LeaseID)
		tx := s.begin(0)
		s.guard(tx, claim(r))
		next := s.lease(long)
		s.quickly("a batch of acquires", func(s *suite) {
			grants := ask(s, s.d.Acquire, request(unique("new"), next), request(r.Name, next), request(free.Name, next))
			if !grants[0].Granted || grants[1].Granted || !grants[2].Granted {
				s.Errorf("Acquire answered %+v", grants)
			}
		})
		s.quickly("a batch of frees", func(s *suite) {
			if got := ask(s, s.d.Free, dead, orphan(r, fence)); !slices.Equal(got, []bool{true, false}) {
				s.Errorf("Free answered %t", got)
			}
		})
		s.must(tx.Commit())
	})
	s.run("the other releases of a batch", otherReleases)
	s.run("a batch beside rows that others are at", besideOthers)
	s.run("the reaper's leases", func(s *suite) {
		busy, dead := s.lease(time.Millisecond), s.lease(time.Millisecond)
		time.Sleep(4 * tick)
		tx := s.begin(0)
		_, err := tx.ExecContext(s.ctx, "UPDATE sqllock_leases SET ttl = ttl + 1 WHERE id = '"+busy+"'")
		s.must(err)
		s.quickly("BuryExpired", func(s *suite) {
			n, err := s.d.BuryExpired(s.ctx, 100)
			s.must(err)
			if n == 0 || s.renew(dead) {
				s.Errorf("BuryExpired answered %d beside a row that somebody is at", n)
			}
		})
		s.must(tx.Rollback())
		if b := s.bury(busy); !b.Dead || b.Overdue <= 0 {
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
			if class := s.d.Classify(err); !errors.Is(err, context.DeadlineExceeded) || class != dialect.Unknown {
				s.Errorf("Release: %v (class %s), want the ctx's error, unknown", err, class)
			}
		})
		s.must(tx.Commit())
		s.eventually("released at last", func() bool { return s.release(claim(r)) || !s.look(r.Key).Held })
	})
}

// twoGuards: they don't wait for each other, unless the engine can't help it.
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

// readsGoOn: Look and List wait for nobody's uncommitted change, and don't show it.
func readsGoOn(s *suite) {
	r := request(unique("lock"), s.lease(long))
	fence := s.take(r)
	tx := s.begin(0)
	for _, query := range []string{"UPDATE sqllock_locks SET fence = fence + 1", "UPDATE sqllock_leases SET ttl = ttl + 1"} {
		_, err := tx.ExecContext(s.ctx, query)
		s.must(err)
	}
	s.quickly("Look", func(s *suite) { s.held(r, fence) })
	s.quickly("List", func(s *suite) {
		for _, row := range s.page(dialect.Key{}, false, 100) {
			if row.Key == r.Key && row.Fence != fence {
				s.Errorf("List shows what isn't committed: %+v", row)
			}
		}
	})
	s.must(tx.Rollback())
}

// rowBeingMade: two have seen no row, and one is a little slower. It is told so, and not of a key that is there twice.
func rowBeingMade(s *suite, end func(*sql.Tx) error, granted bool) {
	first := request(unique("first"), s.lease(long))
	s.take(first)
	r := request(unique("lock"), first.LeaseID)
	tx := s.begin(0)
	columns := "slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay"
	_, err := tx.ExecContext(s.ctx, "INSERT INTO sqllock_locks (name, "+columns+") SELECT '"+r.Name+"', "+columns+
		" FROM sqllock_locks WHERE name = '"+first.Name+"'")
	s.must(err)
	done := make(chan dialect.Grant, 1)
	go func() {
		grants, err := settle(s, func(ctx context.Context) ([]dialect.Grant, error) {
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
		done <- g // it may refuse at once, too
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
