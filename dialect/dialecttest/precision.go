package dialecttest

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// precision: times go in and come out to the millisecond, from the shortest to the longest.
func precision(s *suite) {
	for _, d := range []time.Duration{
		1_234 * time.Millisecond, 2_999 * time.Millisecond, 61_500 * time.Millisecond,
		24*time.Hour - time.Millisecond, 24 * time.Hour, 40*24*time.Hour + 501*time.Millisecond, 50 * 365 * 24 * time.Hour,
	} {
		s.run(d.String(), func(s *suite) {
			sent := time.Now()
			id := s.lease(d)
			s.left("the TTL", s.bury(id).Remaining, d, sent)
			sent = time.Now()
			s.renew(id)
			s.left("the TTL", s.bury(id).Remaining, d, sent)
			r := request(unique("lock"), id)
			r.HoldAtLeast = d
			sentLock := time.Now()
			s.take(r)
			row := s.look(r.Key)
			s.left("the TTL", row.Remaining, d, sent)
			s.left("HoldAtLeast", row.FreeIn, d, sentLock)
			s.release(claim(r))
			s.left("HoldAtLeast", s.look(r.Key).FreeIn, d, sentLock)

			_, o := s.orphaned(dialect.Request{Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"), LockDelay: d + time.Second})
			o.Overdue = time.Second
			sent = time.Now()
			s.free(o)
			s.left("LockDelay", s.look(o.Key).FreeIn, d, sent)
		})
	}
	s.run("overdue", func(s *suite) {
		sent := time.Now()
		r := request(unique("lock"), s.lease(short))
		written := time.Now()
		s.take(r)
		s.eventually("lease runs out", func() bool { return s.look(r.Key).Remaining < -short })
		asked := time.Now()
		least, b := asked.Sub(written)-short-slack, s.bury(r.LeaseID)
		if most := time.Since(sent) - short + slack; b.Overdue < least || b.Overdue > most {
			s.Errorf("overdue by %s, want between %s and %s", b.Overdue, least, most)
		}
	})
}
