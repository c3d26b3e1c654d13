package dialecttest

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// fences: per name and slot they only grow, whatever becomes of the row.
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
			if row := s.look(r.Key); row.Fence != last {
				s.Fatalf("the fence of the free row is %d, was %d", row.Fence, last)
			}
		}
	})
	s.run("over takeovers", func(s *suite) {
		name, last := unique("lock"), int64(0)
		for range 5 {
			_, o := s.orphaned(request(name, ""))
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
				_, err := settle(s, func(ctx context.Context) (int, error) { return s.d.Purge(ctx, 0, 100) })
				s.must(err)
				return !s.look(r.Key).Exists
			})
		}
	})
	s.run("they are the clock's microseconds", func(s *suite) {
		r := request(unique("lock"), s.lease(long))
		for range 2 { // made, and taken again
			fence := s.take(r)
			at := s.look(r.Key).AcquiredAt
			if off := time.UnixMicro(fence).Sub(at).Abs(); off > 50*time.Millisecond {
				s.Errorf("fence %d is %s off AcquiredAt %s", fence, off, at)
			}
			s.release(claim(r))
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// clock: a fence is ahead of the database's clock where that was set back, or where a replica with an earlier clock
// was promoted. It grows all the same.
func clock(s *suite) {
	const future = int64(4102444800_000000) // the year 2100
	ahead := func(s *suite) dialect.Request {
		r := request(unique("lock"), s.lease(long))
		s.take(r)
		s.exec(fmt.Sprintf("UPDATE sqllock_locks SET fence = %d WHERE name = '%s'", future, r.Name))
		return r
	}
	s.run("previous + 1", func(s *suite) {
		r := ahead(s)
		s.release(claim(r))
		if fence := s.take(request(r.Name, r.LeaseID)); fence != future+1 {
			s.Errorf("fence %d after %d", fence, future)
		}
	})
	s.run("never purged", func(s *suite) {
		r := ahead(s)
		s.release(claim(r))
		time.Sleep(10 * tick)
		_, err := s.d.Purge(s.ctx, 0, 100)
		s.must(err)
		if fence := s.take(request(r.Name, r.LeaseID)); fence <= future {
			s.Errorf("fence %d after %d: the row was purged although its fence is ahead of the clock", fence, future)
		}
	})
}

// exec runs SQL that every engine understands.
func (s *suite) exec(query string) {
	s.Helper()
	_, err := settle(s, func(ctx context.Context) (any, error) { return s.DB.ExecContext(ctx, query) })
	s.must(err)
}
