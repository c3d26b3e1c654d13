package dialecttest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// renewOrExpire lets heartbeats and expiries race at the moment when a lease runs out. In any
// order, one side wins: if a renewal was granted, no call has ended the lease, and vice versa.
func renewOrExpire(s *suite) {
	const ttl, rounds, each = 60 * time.Millisecond, 12, 4
	won := map[bool]int{}
	s.keepIdle(2 * each)
	// how long before the end the race begins; adjusted after each round
	aim := 3 * time.Millisecond
	for range rounds {
		id, start := s.lease(ttl), time.Now().Add(ttl-aim)
		var (
			mu               sync.Mutex
			renewed, expired int
			group            sync.WaitGroup
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
					return s.completed(err) && ok[0]
				}, &renewed)
			})
			group.Go(func() {
				shot(func(ctx context.Context) bool {
					b, err := s.d.ExpireLeases(ctx, []string{id})
					return s.completed(err) && b[0].Dead
				}, &expired)
			})
		}
		group.Wait()
		// A granted renewal outlasts the race, unless this machine has stood still.
		if renewed > 0 && expired > 0 && time.Now().Before(start.Add(ttl-slack)) {
			s.Errorf("%d renewals were granted, and %d expiries say that the lease is dead", renewed, expired)
		}
		if alive := s.renew(id); expired > 0 && alive {
			s.Errorf("%d expiries say that the lease is dead, and it was renewed afterwards", expired)
		}
		won[expired > 0]++
		if expired > 0 {
			aim = min(aim+2*time.Millisecond, ttl)
		} else {
			aim -= 2 * time.Millisecond
		}
	}
	s.Logf("expiries won %d rounds, renewals %d", won[true], won[false])
}

// completed reports whether a call in a race returned a result. A Transient error means that
// nothing happened.
func (s *suite) completed(err error) bool {
	if err != nil && s.d.Classify(err) != dialect.ClassTransient {
		s.Errorf("%v (class %s)", err, s.d.Classify(err))
	}
	return err == nil
}
