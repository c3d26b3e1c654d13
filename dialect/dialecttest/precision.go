package dialecttest

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// precision checks that times are kept to the millisecond, from the shortest to the longest.
func precision(s *suite) {
	for _, d := range []time.Duration{
		1_234 * time.Millisecond, 2_999 * time.Millisecond, 61_500 * time.Millisecond,
		24*time.Hour - time.Millisecond, 24 * time.Hour, 40*24*time.Hour + 501*time.Millisecond,
		50 * 365 * 24 * time.Hour,
	} {
		s.run(d.String(), func(s *suite) {
			sent := time.Now()
			id := s.lease(d)
			s.remaining("the TTL", s.expire(id).Remaining, d, sent)
			sent = time.Now()
			s.renew(id)
			s.remaining("the TTL", s.expire(id).Remaining, d, sent)
			r := request(unique("lock"), id)
			r.HoldAtLeast = d
			sentLock := time.Now()
			s.take(r)
			row := s.get(r.Key)
			s.remaining("the TTL", row.Remaining, d, sent)
			s.remaining("HoldAtLeast", row.FreeIn, d, sentLock)
			s.release(claim(r))
			s.remaining("HoldAtLeast", s.get(r.Key).FreeIn, d, sentLock)

			_, o := s.holderDied(dialect.Request{
				Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
				LockDelay: d + time.Second,
			})
			o.ExpiredFor = time.Second
			sent = time.Now()
			s.free(o)
			s.remaining("LockDelay", s.get(o.Key).FreeIn, d, sent)
		})
	}
	s.run("expired for", func(s *suite) {
		sent := time.Now()
		r := request(unique("lock"), s.lease(short))
		written := time.Now()
		s.take(r)
		s.eventually("lease runs out", func() bool { return s.get(r.Key).Remaining < -short })
		asked := time.Now()
		least, b := asked.Sub(written)-short-slack, s.expire(r.LeaseID)
		if most := time.Since(sent) - short + slack; b.ExpiredFor < least || b.ExpiredFor > most {
			s.Errorf("expired for %s, want between %s and %s", b.ExpiredFor, least, most)
		}
	})
}
