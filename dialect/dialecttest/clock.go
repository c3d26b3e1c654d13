package dialecttest

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// clock checks a fence that is ahead of the database's clock, because that was set back or a
// replica with an earlier clock was promoted. The fence still increases.
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
	s.run("together", func(s *suite) {
		r, behind := ahead(s), request(unique("behind"), s.lease(long))
		s.take(behind)
		s.exec("UPDATE sqllock_locks SET fence = 5 WHERE name = '" + behind.Name + "'")
		ask(s, s.d.Release, claim(r), claim(behind))
		grants := ask(s, s.d.Acquire, request(r.Name, r.LeaseID), request(behind.Name, r.LeaseID))
		if grants[0].Fence != future+1 {
			s.Errorf("fence %d after %d", grants[0].Fence, future)
		}
		if off := time.UnixMicro(grants[1].Fence).Sub(s.get(behind.Key).AcquiredAt).Abs(); off > 50*time.Millisecond {
			s.Errorf("fence %d after 5, %s off the clock", grants[1].Fence, off)
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

// exec runs SQL that every engine accepts.
func (s *suite) exec(query string) {
	s.Helper()
	_, err := retryTransient(s, func(ctx context.Context) (any, error) { return s.DB.ExecContext(ctx, query) })
	s.must(err)
}
