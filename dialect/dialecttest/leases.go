package dialecttest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// leases: proof by the database's clock, and nothing else, that a holder is alive.
func leases(s *suite) {
	s.run("a new lease lives for its TTL", func(s *suite) {
		id := s.lease(long)
		first := s.bury(id)
		if first.Dead || first.Overdue != 0 || first.Remaining <= 0 {
			s.Errorf("bury of a live lease: %+v", first)
		}
		time.Sleep(10 * tick)
		if b := s.bury(id); b.Remaining > first.Remaining-10*tick+slack {
			s.Errorf("%s left, %s after there were %s", b.Remaining, 10*tick, first.Remaining)
		}
		if !s.renew(id) {
			s.Error("the lease is gone after a burial that found it alive")
		}
	})
	s.run("an id is taken once", func(s *suite) {
		id := s.lease(long)
		err := s.d.CreateLease(s.ctx, dialect.Lease{ID: id, Holder: "thief", TTL: time.Hour})
		if err == nil {
			s.Fatal("a second lease of the same id was created")
		}
		if class := s.d.Classify(err); class == dialect.Transient {
			s.Errorf("class %s for %v: the same would be sent again", class, err)
		}
		if b := s.bury(id); b.Remaining > long+slack {
			s.Errorf("the first lease was changed: %+v", b)
		}
	})
	s.run("renewals keep it alive", func(s *suite) {
		s.eventually("three TTLs without this machine standing still for one", func() bool {
			start := time.Now() // before it is sent: the reply may be late
			id := s.lease(short)
			for last := start; time.Since(start) < 3*short; time.Sleep(tick) {
				sent := time.Now()
				dead := s.bury(id).Dead || !s.renew(id)
				if dead && time.Since(last) < short {
					s.Fatalf("dead %s after it was renewed", time.Since(last))
				}
				if dead {
					return false
				}
				last = sent
			}
			return true
		})
	})
	s.run("a renewal is for the TTL of that lease", func(s *suite) {
		minute, hour := s.lease(time.Minute), s.lease(time.Hour)
		sent := time.Now()
		ask(s, s.d.RenewLeases, hour, minute)
		s.left("the TTL", s.bury(minute).Remaining, time.Minute, sent)
		s.left("the TTL", s.bury(hour).Remaining, time.Hour, sent)
	})
	s.run("what has run out is not renewed", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		s.take(r)
		s.eventually("lease runs out", func() bool { return s.look(r.Key).Lease == dialect.LeaseExpired })
		if s.renew(r.LeaseID) {
			s.Error("a lease that had run out was renewed")
		}
		if row := s.look(r.Key); row.Lease != dialect.LeaseExpired || row.Remaining > 0 {
			s.Errorf("after the refused renewal: %+v", row)
		}
	})
	s.run("dead is for ever", func(s *suite) {
		sent := time.Now()
		id := s.lease(short)
		if b := s.buried(id); b.Overdue < 0 || b.Remaining != 0 || time.Since(sent) < short-slack {
			s.Errorf("buried %s after it was made for %s: %+v", time.Since(sent), short, b)
		}
		if s.renew(id) {
			s.Error("a buried lease was renewed")
		}
		for _, id := range []string{id, unique("never there")} {
			if b := s.bury(id); b != (dialect.Burial{Dead: true}) {
				s.Errorf("bury of a lease that isn't there: %+v", b)
			}
		}
	})
	s.run("delete", func(s *suite) {
		gone, kept := s.lease(long), s.lease(long)
		s.drop(gone, unique("never there"))
		if s.renew(gone) || !s.renew(kept) {
			s.Error("DeleteLeases must delete what it was asked to, live or not, and nothing else")
		}
	})
	s.run("bury expired", buryExpired)
}

func buryExpired(s *suite) {
	count := func(limit int) int {
		n, err := settle(s, func(ctx context.Context) (int, error) { return s.d.BuryExpired(ctx, limit) })
		s.must(err)
		return n
	}
	left := count(100) // by the tests before
	for left > 0 {
		left = count(100)
	}
	live := s.lease(long)
	var dead []string
	for range 5 {
		dead = append(dead, s.lease(short))
	}
	if n := count(100); n != 0 {
		s.Fatalf("%d live leases buried", n)
	}
	last := request(unique("lock"), dead[4])
	s.take(last)
	s.eventually("leases run out", func() bool { return s.look(last.Key).Remaining < 0 })
	for _, want := range []int{2, 2, 1, 0} {
		if n := count(2); n != want {
			s.Errorf("BuryExpired(2) answered %d, want %d", n, want)
		}
	}
	for _, id := range dead {
		if b := s.bury(id); b != (dialect.Burial{Dead: true}) {
			s.Errorf("still there: %+v", b)
		}
	}
	if !s.renew(live) {
		s.Error("BuryExpired deleted a live lease")
	}
}
