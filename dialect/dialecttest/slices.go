package dialecttest

import (
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// slicesContract checks that each element has its own result, in the order requested.
func slicesContract(s *suite) {
	s.run("acquire", func(s *suite) {
		lease := s.lease(long)
		held := request(unique("m"), lease)
		held.Slot = 1
		fence := s.take(held)
		freed := request(unique("z"), lease)
		s.take(freed)
		s.release(claim(freed))
		barred := request(unique("b"), lease)
		barred.HoldAtLeast = time.Hour
		s.take(barred)
		s.release(claim(barred))
		again := request(unique("c"), lease)
		s.take(again)

		other := s.lease(long)
		asked := []dialect.Request{
			request(freed.Name, other), request(held.Name, other), request(unique("new"), other), request(barred.Name,
				other),
			again, request(unique("a"), other),
		}
		asked[1].Slot = 1
		grants := ask(s, s.d.Acquire, asked...)
		for i, want := range []bool{true, false, true, false, true, true} {
			switch {
			case grants[i].Granted != want:
				s.Errorf("%d: %+v, want granted %t", i, grants[i], want)
			case want:
				s.held(asked[i], grants[i].Fence)
			case grants[i].Fence != 0:
				s.Errorf("%d: a refusal with fence %d", i, grants[i].Fence)
			}
		}
		s.held(held, fence)
	})
	s.run("one row twice", func(s *suite) {
		for _, name := range []string{unique("new"), unique("free")} {
			r := request(name, s.lease(long))
			if name[0] == 'f' {
				s.take(r)
				s.release(claim(r))
			}
			asked := []dialect.Request{
				request(name, r.LeaseID), request(unique("other"), r.LeaseID),
				request(name, r.LeaseID),
			}
			grants := ask(s, s.d.Acquire, asked...)
			if grants[0].Granted == grants[2].Granted || !grants[1].Granted {
				s.Fatalf("%s: %+v, want the row granted to one of the two", name, grants)
			}
			for i, g := range grants {
				if g.Granted {
					s.held(asked[i], g.Fence)
				}
			}
		}
	})
	s.run("release and free", func(s *suite) {
		lease := s.lease(long)
		a, b, c := request(unique("c"), lease), request(unique("b"), lease), request(unique("a"), lease)
		ask(s, s.d.Acquire, a, b, c)
		stranger := claim(request(b.Name, lease))
		if got := ask(s, s.d.Release, claim(a), stranger, claim(c)); !slices.Equal(got, []bool{true, false, true}) {
			s.Errorf("Release returned %t", got)
		}
		if got := ask(s, s.d.Release, claim(c), claim(b), claim(a)); !slices.Equal(got, []bool{false, true, false}) {
			s.Errorf("Release returned %t", got)
		}
		_, x := s.holderDied(request(unique("z"), ""))
		_, y := s.holderDied(request(unique("y"), ""))
		wrong := x
		wrong.Fence++
		if got := ask(s, s.d.Free, wrong, x, y); !slices.Equal(got, []bool{false, true, true}) {
			s.Errorf("Free returned %t", got)
		}
	})
	s.run("leases", func(s *suite) {
		live, dead, other := s.lease(long), s.lease(time.Millisecond), s.lease(long)
		s.waitExpired(dead)
		renewed := ask(s, s.d.RenewLeases, dead, other, unique("x"), live)
		if !slices.Equal(renewed, []bool{false, true, false, true}) {
			s.Errorf("RenewLeases returned %t", renewed)
		}
		expired := s.lease(time.Millisecond)
		time.Sleep(4 * tick)
		got := ask(s, s.d.ExpireLeases, live, expired, unique("x"), other)
		for i, want := range []bool{false, true, true, false} {
			if got[i].Dead != want || got[i].Dead == (got[i].Remaining > 0) {
				s.Errorf("ExpireLeases %d: %+v", i, got[i])
			}
		}
		if got[1].ExpiredFor <= 0 {
			s.Errorf("a lease that ran out %s ago", got[1].ExpiredFor)
		}
	})
	s.run("as each alone", asSingle)
	s.run("empty ones", empty)
	s.run("many", many)
	s.run("batches that overlap", overlap)
	// the nodes of a cluster refuse each other's batches at the commit, again and again
	if !s.ExclusiveGuards {
		s.run("batches that cross", cross)
	}
}
