package dialecttest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// leases checks that leases prove by the database's clock alone that a holder is alive.
func leases(s *suite) {
	s.run("a new lease lives for its TTL", func(s *suite) {
		id := s.lease(long)
		first := s.expire(id)
		if first.Dead || first.ExpiredFor != 0 || first.Remaining <= 0 {
			s.Errorf("expiry of a live lease: %+v", first)
		}
		time.Sleep(10 * tick)
		if b := s.expire(id); b.Remaining > first.Remaining-10*tick+slack {
			s.Errorf("%s remaining, %s after it was %s", b.Remaining, 10*tick, first.Remaining)
		}
		if !s.renew(id) {
			s.Error("the lease is gone after ExpireLeases found it alive")
		}
	})
	s.run("an id is taken once", func(s *suite) {
		id := s.lease(long)
		err := s.d.CreateLease(s.ctx, dialect.Lease{ID: id, Holder: "thief", TTL: time.Hour})
		if err == nil {
			s.Fatal("a second lease of the same id was created")
		}
		if class := s.d.Classify(err); class == dialect.ClassTransient {
			s.Errorf("class %s for %v: the same would be sent again", class, err)
		}
		if b := s.expire(id); b.Remaining > long+slack {
			s.Errorf("the first lease was changed: %+v", b)
		}
	})
	s.run("renewals keep it alive", func(s *suite) {
		s.eventually("three TTLs without this machine standing still for one", func() bool {
			start := time.Now() // before the request is sent, since the reply may be late
			id := s.lease(short)
			for last := start; time.Since(start) < 3*short; time.Sleep(tick) {
				sent := time.Now()
				dead := s.expire(id).Dead || !s.renew(id)
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
		s.remaining("the TTL", s.expire(minute).Remaining, time.Minute, sent)
		s.remaining("the TTL", s.expire(hour).Remaining, time.Hour, sent)
	})
	s.run("what has run out is not renewed", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		s.take(r)
		s.eventually("lease runs out", func() bool { return s.get(r.Key).Lease == dialect.LeaseExpired })
		if s.renew(r.LeaseID) {
			s.Error("a lease that had run out was renewed")
		}
		if row := s.get(r.Key); row.Lease != dialect.LeaseExpired || row.Remaining > 0 {
			s.Errorf("after the refused renewal: %+v", row)
		}
	})
	s.run("dead is for ever", func(s *suite) {
		sent := time.Now()
		id := s.lease(short)
		if b := s.waitExpired(id); b.ExpiredFor < 0 || b.Remaining != 0 || time.Since(sent) < short-slack {
			s.Errorf("expired %s after it was created for %s: %+v", time.Since(sent), short, b)
		}
		if s.renew(id) {
			s.Error("an expired lease was renewed")
		}
		if b := s.expire(unique("never there")); b != (dialect.Expiry{Dead: true}) {
			s.Errorf("expiry of a lease that doesn't exist: %+v", b)
		}
	})
	s.run("when it ran out is kept", func(s *suite) {
		sent := time.Now()
		id := s.lease(short)
		first := s.waitExpired(id)
		time.Sleep(2 * slack)
		again := s.expire(id)
		if !again.Dead || again.ExpiredFor < first.ExpiredFor+slack ||
			again.ExpiredFor > time.Since(sent)-short+slack || again.Remaining != 0 {
			s.Errorf("expired with %+v, and read again %s later: %+v", first, 2*slack, again)
		}
		expire := func(ago time.Duration) {
			s.Helper()
			_, err := retryTransient(s, func(ctx context.Context) (int, error) {
				return s.d.DeleteExpired(ctx, ago, 100)
			})
			s.must(err)
		}
		expire(time.Hour)
		if b := s.expire(id); b.ExpiredFor < again.ExpiredFor {
			s.Errorf("after those were deleted that ran out an hour ago: %+v", b)
		}
		expire(0)
		if b := s.expire(id); b != (dialect.Expiry{Dead: true}) {
			s.Errorf("after it was deleted: %+v", b)
		}
	})
	s.run("delete", func(s *suite) {
		gone, kept := s.lease(long), s.lease(long)
		s.drop(gone, unique("never there"))
		if s.renew(gone) || !s.renew(kept) {
			s.Error("DeleteLeases must delete exactly the given leases, live or not")
		}
	})
	s.run("delete expired", deleteExpired)
}

func deleteExpired(s *suite) {
	count := func(limit int) int {
		n, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.DeleteExpired(ctx, 0, limit) })
		s.must(err)
		return n
	}
	n := count(100) // from the tests before
	for n > 0 {
		n = count(100)
	}
	live := s.lease(long)
	var dead []string
	for tooSlow := true; tooSlow; {
		dead = nil
		began := time.Now()
		for range 5 {
			dead = append(dead, s.lease(short))
		}
		n := count(100)
		if tooSlow = n > 0 && time.Since(began) >= short; !tooSlow && n > 0 {
			s.Fatalf("%d live leases deleted", n)
		}
		if tooSlow { // they ran out before they were counted: repeat with new ones
			time.Sleep(2 * short)
			for count(100) > 0 { //nolint:revive // until none remains
			}
		}
	}
	last := request(unique("lock"), dead[4])
	s.take(last)
	s.eventually("leases run out", func() bool { return s.get(last.Key).Remaining < 0 })
	for _, want := range []int{2, 2, 1, 0} {
		if n := count(2); n != want {
			s.Errorf("DeleteExpired(2) returned %d, want %d", n, want)
		}
	}
	for _, id := range dead {
		if b := s.expire(id); b != (dialect.Expiry{Dead: true}) {
			s.Errorf("still there: %+v", b)
		}
	}
	if !s.renew(live) {
		s.Error("DeleteExpired deleted a live lease")
	}
}
