package dialecttest

import (
	"context"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// holder checks that of many simultaneous requests for one row exactly one is granted.
func holder(s *suite) {
	const racers = 16
	s.keepIdle(racers)
	lease := s.lease(long)
	race := func(name string, prepare func(dialect.Request)) (winner dialect.Request, fence int64) {
		s.Helper()
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			won   int
			start = make(chan struct{})
		)
		for range racers {
			r := request(name, lease)
			group.Go(func() {
				<-start
				prepare(r)
				grants, err := retryTransient(s, func(ctx context.Context) ([]dialect.Grant, error) {
					return s.d.Acquire(ctx, []dialect.Request{r})
				})
				if err != nil {
					s.Errorf("%v (class %s)", err, s.d.Classify(err))
				} else if grants[0].Granted {
					mu.Lock()
					defer mu.Unlock()
					won++
					winner, fence = r, grants[0].Fence
				}
			})
		}
		close(start)
		group.Wait()
		if won != 1 {
			s.Fatalf("%d of %d have the lock", won, racers)
		}
		s.held(winner, fence)
		return winner, fence
	}
	s.run("a row that was never there", func(*suite) {
		for range 5 {
			race(unique("lock"), func(dialect.Request) {})
		}
	})
	s.run("a free row", func(s *suite) {
		name, last := unique("lock"), int64(0)
		for range 8 {
			winner, fence := race(name, func(dialect.Request) {})
			if fence <= last {
				s.Errorf("fence %d after %d", fence, last)
			}
			last = fence
			if !s.release(claim(winner)) {
				s.Error("the winner's release was refused")
			}
		}
	})
	s.run("a dead holder's row", func(s *suite) {
		name := unique("lock")
		for range 5 {
			dead, o := s.holderDied(request(name, ""))
			winner, fence := race(name, func(dialect.Request) {
				_, err := retryTransient(s, func(ctx context.Context) ([]bool, error) {
					return s.d.Free(ctx, []dialect.DeadHolder{o})
				})
				s.completed(err)
			})
			if fence <= o.Fence || s.release(claim(dead)) || !s.release(claim(winner)) {
				s.Errorf("fence %d after %d, or not the winner's", fence, o.Fence)
			}
		}
	})
}
