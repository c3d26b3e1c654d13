package dialecttest

import (
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// used returns the name of a lock that was held before, so that its next holder finds a row.
func (s *suite) used() string {
	s.Helper()
	r := request(unique("lock"), s.lease(long))
	s.take(r)
	s.release(claim(r))
	return r.Name
}

// delay checks that HoldAtLeast and LockDelay postpone the moment when a row becomes free.
func delay(s *suite) {
	s.run("HoldAtLeast outlives a release", func(s *suite) {
		r := request(s.used(), s.lease(long))
		r.HoldAtLeast = 2 * short
		sent := time.Now()
		s.take(r)
		s.release(claim(r))
		s.remaining("HoldAtLeast", s.get(r.Key).FreeIn, r.HoldAtLeast, sent)
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
		s.eventually("passed", func() bool { return s.get(r.Key).FreeIn <= 0 })
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
		r, o := s.holderDied(dialect.Request{Key: dialect.Key{Name: name}, Owner: unique("o"), LockDelay: time.Second})
		o.ExpiredFor = 700 * time.Millisecond
		sent := time.Now()
		if !s.free(o) {
			s.Fatal("Free refused")
		}
		s.remaining("LockDelay", s.get(r.Key).FreeIn, r.LockDelay-o.ExpiredFor, sent)
		next := request(r.Name, s.lease(long))
		s.eventually("free", func() bool { return s.acquire(next).Granted })
		if early := 300*time.Millisecond - time.Since(sent); early > slack {
			s.Errorf("free %s before its time", early)
		}
	})
	s.run("LockDelay that has passed is no bar", func(s *suite) {
		r, o := s.holderDied(dialect.Request{
			Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
			LockDelay: time.Second,
		})
		o.ExpiredFor = time.Hour
		s.free(o)
		s.take(request(r.Name, s.lease(long)))
	})
	s.run("LockDelay of the holder before is no bar", func(s *suite) {
		first := request(unique("lock"), s.lease(long))
		first.LockDelay = time.Hour
		s.take(first)
		s.release(claim(first))
		_, o := s.holderDied(request(first.Name, ""))
		s.free(o)
		s.take(request(first.Name, first.LeaseID))
	})
	s.run("the longer of the two counts", func(s *suite) {
		sent := time.Now()
		r, o := s.holderDied(dialect.Request{
			Key: dialect.Key{Name: unique("lock")}, Owner: unique("o"),
			HoldAtLeast: time.Hour, LockDelay: time.Second,
		})
		s.free(o)
		s.remaining("HoldAtLeast", s.get(r.Key).FreeIn, r.HoldAtLeast, sent)
	})
}
