package dialecttest

import (
	"context"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// acquire: a row is taken if it is missing, free, or the asker's already; from a lease, dead or alive, never.
func acquire(s *suite) {
	s.run("a row that was never there", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.Note = "for people"
		fence := s.take(r)
		if fence <= 0 {
			s.Errorf("fence %d", fence)
		}
		row := s.held(r, fence)
		if !row.Exists || row.Note != r.Note || row.Holder != "holder of "+r.LeaseID || row.Lease != dialect.LeaseLive ||
			row.Remaining <= 0 || row.Remaining > long+slack || row.FreeIn > 0 {
			s.Errorf("the row is %+v", row)
		}
	})
	s.run("held by another", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		fence := s.take(r)
		before := s.held(r, fence)
		s.refused(request(r.Name, r.LeaseID)) // the same process, another acquisition
		s.refused(request(r.Name, s.lease(long)))
		if after := s.held(r, fence); still(after) != still(before) {
			s.Errorf("a refusal changed the row from %+v to %+v", before, after)
		}
	})
	s.run("held by a dead lease", func(s *suite) {
		r := request(unique("lock"), s.lease(short))
		fence, other := s.take(r), request(r.Name, s.lease(long))
		s.eventually("lease runs out", func() bool { return s.look(r.Key).Lease == dialect.LeaseExpired })
		s.refused(other)
		s.buried(r.LeaseID)
		s.refused(other)
		if row := s.held(r, fence); row.Lease != dialect.LeaseGone {
			s.Errorf("the row is %+v", row)
		}
	})
	s.run("sent again", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		first := s.take(r)
		second := s.take(r)
		if second < first {
			s.Errorf("fence %d after %d", second, first)
		}
		s.held(r, second)
		if !s.release(claim(r)) {
			s.Error("the lock isn't its owner's after the request was sent twice")
		}
	})
	s.run("freed and taken by another", func(s *suite) {
		a, b := request(unique("lock"), s.lease(long)), s.lease(long)
		first := s.take(a)
		s.release(claim(a))
		next := request(a.Name, b)
		next.Note = "next"
		if row := s.held(next, s.take(next)); row.Fence <= first || row.Note != "next" {
			s.Errorf("the row is %+v after fence %d", row, first)
		}
		s.refused(a)
	})
	s.run("slots and names are locks of their own", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		for slot := 1; slot < 4; slot++ {
			next := request(r.Name, r.LeaseID)
			next.Slot = slot
			s.held(next, s.take(next))
		}
		s.take(request(r.Name+"/x", r.LeaseID))
		s.refused(request(r.Name, r.LeaseID))
	})
}

// holder: of many who ask for one row at the same time, exactly one gets it.
func holder(s *suite) {
	const racers = 16
	if s.DB != nil { // connections that stand ready: dialling would let the racers start one after the other
		s.DB.SetMaxIdleConns(racers)
	}
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
				grants, err := settle(s, func(ctx context.Context) ([]dialect.Grant, error) {
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
			dead, o := s.orphaned(request(name, ""))
			winner, fence := race(name, func(dialect.Request) {
				_, err := settle(s, func(ctx context.Context) ([]bool, error) {
					return s.d.Free(ctx, []dialect.Orphan{o})
				})
				s.answered(err)
			})
			if fence <= o.Fence || s.release(claim(dead)) || !s.release(claim(winner)) {
				s.Errorf("fence %d after %d, or not the winner's", fence, o.Fence)
			}
		}
	})
}

// used is the name of a lock that somebody has had, so its next holder finds a row and makes none.
func (s *suite) used() string {
	s.Helper()
	r := request(unique("lock"), s.lease(long))
	s.take(r)
	s.release(claim(r))
	return r.Name
}

// delay: HoldAtLeast and LockDelay put off the moment from which a row is free.
func delay(s *suite) {
	s.run("HoldAtLeast outlives a release", func(s *suite) {
		r := request(s.used(), s.lease(long))
		r.HoldAtLeast = 2 * short
		sent := time.Now()
		s.take(r)
		s.release(claim(r))
		s.left("HoldAtLeast", s.look(r.Key).FreeIn, r.HoldAtLeast, sent)
		next := request(r.Name, r.LeaseID)
		s.eventually("free", func() bool { return s.acquire(next).Granted })
		if early := r.HoldAtLeast - time.Since(sent); early > slack {
			s.Errorf("free %s before its time", early)
		}
		s.refused(request(r.Name, r.LeaseID))
	})
	s.run("HoldAtLeast that has passed is no bar", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.HoldAtLeast = 10 * time.Millisecond
		s.take(r)
		s.eventually("passed", func() bool { return s.look(r.Key).FreeIn <= 0 })
		s.release(claim(r))
		s.take(request(r.Name, r.LeaseID))
	})
	s.run("LockDelay is nothing to a release", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		r.LockDelay = time.Hour
		s.take(r)
		s.release(claim(r))
		s.take(request(r.Name, r.LeaseID))
	})
	s.run("LockDelay counts from the lease's end", func(s *suite) {
		name := s.used()
		r, o := s.orphaned(dialect.Request{Key: dialect.Key{Name: name}, Owner: unique("o"), LockDelay: time.Second})
		o.Overdue = 700 * time.Millisecond
		sent := time.Now()
		if !s.free(o) {
			s.Fatal("Free refused")
		}
		s.left("LockDelay", s.look(r.Key).FreeIn, r.LockDelay-o.Overdue, sent)
		next := request(r.Name, s.lease(long))
		s.eventually("free", func() bool { return s.acquire(next).Granted })
		if early := 300*time.Millisecond - time.Since(sent); early > slack {
			s.Errorf("free %s before its time", early)
		}
	})
	s.run("LockDelay that has passed is no bar", func(s *suite) {
		r, o := s.orphaned(dialect.Request{Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"), LockDelay: time.Second})
		o.Overdue = time.Hour
		s.free(o)
		s.take(request(r.Name, s.lease(long)))
	})
	s.run("LockDelay of the holder before is no bar", func(s *suite) {
		first := request(unique("lock"), s.lease(long))
		first.LockDelay = time.Hour
		s.take(first)
		s.release(claim(first))
		_, o := s.orphaned(request(first.Name, ""))
		s.free(o)
		s.take(request(first.Name, first.LeaseID))
	})
	s.run("the longer of the two counts", func(s *suite) {
		sent := time.Now()
		r, o := s.orphaned(dialect.Request{
			Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
			HoldAtLeast: time.Hour, LockDelay: time.Second,
		})
		s.free(o)
		s.left("HoldAtLeast", s.look(r.Key).FreeIn, r.HoldAtLeast, sent)
	})
}
