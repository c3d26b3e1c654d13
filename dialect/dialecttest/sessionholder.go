package dialecttest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// sessionHolder checks that of many simultaneous requests exactly one gets the lock, and that its
// holder can be read.
func sessionHolder(s *suite) {
	s.run("one of sixteen", func(s *suite) {
		racers := make([]heldSession, 16)
		for i := range racers {
			racers[i] = s.open("racer")
		}
		for range 10 {
			lock := serverLock()
			var (
				group sync.WaitGroup
				won   atomic.Int32
				start = make(chan struct{})
			)
			for _, racer := range racers {
				group.Go(func() {
					<-start
					got, err := racer.TryLock(s.ctx, []dialect.ServerLock{lock})
					if err != nil {
						s.Errorf("%v (class %s)", err, s.d.Classify(err))
					} else if got[0] {
						won.Add(1)
					}
				})
			}
			close(start)
			group.Wait()
			if won.Load() != 1 {
				s.Fatalf("%d of %d have the lock", won.Load(), len(racers))
			}
		}
	})
	s.run("its holder", func(s *suite) {
		a, b, held, free := s.open("the holder"), s.open("another"), serverLock(), serverLock()
		a.takes(held)
		for _, who := range []heldSession{b, a} {
			seen := once(s, who.HeldBy, free, held)
			if seen[0] != (dialect.SessionHolder{}) {
				s.Errorf("a free lock is held by %+v", seen[0])
			}
			since := seen[1].Since
			switch {
			case s.Powers.Holders != (seen[1].Holder != ""):
				s.Errorf("a lock that is held is held by %+v", seen[1])
			case !since.IsZero() && (time.Since(since) > time.Hour || time.Until(since) > time.Minute):
				s.Errorf("held since %s, and it is %s", since, time.Now())
			}
		}
		a.frees(held)
		if seen := once(s, b.HeldBy, held); seen[0] != (dialect.SessionHolder{}) {
			s.Errorf("a released lock is held by %+v", seen[0])
		}
	})
}
