package dialecttest

import (
	"context"
	"time"
)

// purge checks that Purge deletes only rows that have been free for longer than requested.
func purge(s *suite) {
	rid := func(s *suite, idle time.Duration, limit int) int {
		s.Helper()
		n, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.Purge(ctx, idle, limit) })
		s.must(err)
		return n
	}
	lease := s.lease(long)
	held, dead := request(unique("held"), lease), request(unique("dead"), "")
	fence := s.take(held)
	_, o := s.holderDied(dead)
	barred := request(unique("barred"), lease)
	barred.HoldAtLeast = time.Hour
	s.take(barred)
	s.release(claim(barred))
	for range 5 {
		r := request(unique("idle"), lease)
		s.take(r)
		s.release(claim(r))
	}
	time.Sleep(10 * tick) // "longer than", on a clock with milliseconds
	if n := rid(s, time.Minute, 100); n != 0 {
		s.Errorf("%d rows purged that were free for less than a minute", n)
	}
	for _, want := range []int{2, 2, 1, 0} {
		if n := rid(s, 10*time.Millisecond, 2); n != want {
			s.Errorf("Purge of at most 2 returned %d, want %d", n, want)
		}
	}
	if n := rid(s, 0, 0); n != 0 {
		s.Errorf("Purge with limit 0 returned %d", n)
	}
	s.held(held, fence)
	if row := s.get(o.Key); !row.Held {
		s.Error("Purge took a row that still names a (dead) lease")
	}
	if row := s.get(barred.Key); row.FreeIn <= 0 {
		s.Errorf("Purge took a row that isn't free yet: %+v", row)
	}
	s.refused(request(barred.Name, lease))
	s.run("the time counts from the release", func(s *suite) {
		r := request(unique("late"), lease)
		s.take(r)
		time.Sleep(short + 10*tick)
		released := time.Now()
		s.release(claim(r))
		rid(s, short, 100)
		if time.Since(released) < short-slack && !s.get(r.Key).Exists {
			s.Errorf("purged %s after its release", time.Since(released))
		}
	})
	s.run("freed rows", func(s *suite) {
		// its lease has long been dead, but the row is free only from now on
		o.ExpiredFor = time.Hour
		time.Sleep(short)
		freed := time.Now()
		s.free(o)
		rid(s, short, 100)
		if time.Since(freed) < short-slack && !s.get(o.Key).Exists {
			s.Errorf("purged %s after it was freed", time.Since(freed))
		}
		s.eventually("purged", func() bool { rid(s, 0, 100); return !s.get(o.Key).Exists })
	})
}
