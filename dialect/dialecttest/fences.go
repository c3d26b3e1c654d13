package dialecttest

import (
	"context"
	"time"
)

// fences checks that fences only increase for each name and slot, whatever happens to the row.
func fences(s *suite) {
	s.run("over releases", func(s *suite) {
		lease, name, last := s.lease(long), unique("lock"), int64(0)
		for range 20 {
			r := request(name, lease)
			if fence := s.take(r); fence <= last {
				s.Fatalf("fence %d after %d", fence, last)
			} else {
				last = fence
			}
			s.release(claim(r))
			if row := s.get(r.Key); row.Fence != last {
				s.Fatalf("the fence of the free row is %d, was %d", row.Fence, last)
			}
		}
	})
	s.run("over takeovers", func(s *suite) {
		name, last := unique("lock"), int64(0)
		for range 5 {
			_, o := s.holderDied(request(name, ""))
			if o.Fence <= last {
				s.Fatalf("fence %d after %d", o.Fence, last)
			}
			last = o.Fence
			if !s.free(o) {
				s.Fatal("Free refused")
			}
		}
	})
	s.run("over a purge", func(s *suite) {
		lease, name, last := s.lease(long), unique("lock"), int64(0)
		for range 5 {
			r := request(name, lease)
			if fence := s.take(r); fence <= last {
				s.Fatalf("fence %d after %d", fence, last)
			} else {
				last = fence
			}
			s.release(claim(r))
			s.eventually("purged", func() bool {
				_, err := retryTransient(s, func(ctx context.Context) (int, error) { return s.d.Purge(ctx, 0, 100) })
				s.must(err)
				return !s.get(r.Key).Exists
			})
		}
	})
	s.run("they are the clock's microseconds", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		for range 2 { // created, and taken again
			fence := s.take(r)
			at := s.get(r.Key).AcquiredAt
			if off := time.UnixMicro(fence).Sub(at).Abs(); off > 50*time.Millisecond {
				s.Errorf("fence %d is %s off AcquiredAt %s", fence, off, at)
			}
			s.release(claim(r))
			time.Sleep(100 * time.Millisecond)
		}
	})
}
