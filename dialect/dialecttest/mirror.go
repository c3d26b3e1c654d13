package dialecttest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// mirror: at the moment a lease runs out, heartbeats and burials race. Whatever the order, one side wins: if a renewal
// was granted, nobody has buried the lease, and the other way round.
func mirror(s *suite) {
	const ttl, rounds, each = 60 * time.Millisecond, 12, 4
	won := map[bool]int{}
	if s.DB != nil {
		s.DB.SetMaxIdleConns(2 * each)
	}
	aim := 3 * time.Millisecond // so long before the end it begins; moved to where the last round was undecided
	for range rounds {
		id, start := s.lease(ttl), time.Now().Add(ttl-aim)
		var (
			mu              sync.Mutex
			renewed, buried int
			group           sync.WaitGroup
		)
		shot := func(f func(context.Context) bool, hits *int) {
			time.Sleep(time.Until(start) + time.Duration(rand.Int64N(int64(6*time.Millisecond))))
			if hit := f(s.ctx); hit {
				mu.Lock()
				defer mu.Unlock()
				*hits++
			}
		}
		for range each {
			group.Go(func() {
				shot(func(ctx context.Context) bool {
					ok, err := s.d.RenewLeases(ctx, []string{id})
					return s.answered(err) && ok[0]
				}, &renewed)
			})
			group.Go(func() {
				shot(func(ctx context.Context) bool {
					b, err := s.d.BuryLeases(ctx, []string{id})
					return s.answered(err) && b[0].Dead
				}, &buried)
			})
		}
		group.Wait()
		// A renewal that was granted lasts beyond the burst, unless this machine has stood still.
		if renewed > 0 && buried > 0 && time.Now().Before(start.Add(ttl-slack)) {
			s.Errorf("%d renewals were granted, and %d burials say that the lease is dead", renewed, buried)
		}
		if alive := s.renew(id); buried > 0 && alive {
			s.Errorf("%d burials say that the lease is dead, and it was renewed afterwards", buried)
		}
		won[buried > 0]++
		if buried > 0 {
			aim = min(aim+2*time.Millisecond, ttl)
		} else {
			aim -= 2 * time.Millisecond
		}
	}
	s.Logf("burials won %d rounds, renewals %d", won[true], won[false])
}

// answered reports whether a call in a burst got its answer; what a Transient error refused hasn't happened.
func (s *suite) answered(err error) bool {
	if err != nil && s.d.Classify(err) != dialect.Transient {
		s.Errorf("%v (class %s)", err, s.d.Classify(err))
	}
	return err == nil
}
