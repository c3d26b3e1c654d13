package dialecttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// slicesContract: each element is answered by itself, in the order asked.
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
			request(freed.Name, other), request(held.Name, other), request(unique("new"), other), request(barred.Name, other),
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
			asked := []dialect.Request{request(name, r.LeaseID), request(unique("other"), r.LeaseID), request(name, r.LeaseID)}
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
			s.Errorf("Release answered %t", got)
		}
		if got := ask(s, s.d.Release, claim(c), claim(b), claim(a)); !slices.Equal(got, []bool{false, true, false}) {
			s.Errorf("Release answered %t", got)
		}
		_, x := s.orphaned(request(unique("z"), ""))
		_, y := s.orphaned(request(unique("y"), ""))
		wrong := x
		wrong.Fence++
		if got := ask(s, s.d.Free, wrong, x, y); !slices.Equal(got, []bool{false, true, true}) {
			s.Errorf("Free answered %t", got)
		}
	})
	s.run("leases", func(s *suite) {
		live, dead, other := s.lease(long), s.lease(time.Millisecond), s.lease(long)
		s.buried(dead)
		if got := ask(s, s.d.RenewLeases, dead, other, unique("x"), live); !slices.Equal(got, []bool{false, true, false, true}) {
			s.Errorf("RenewLeases answered %t", got)
		}
		expired := s.lease(time.Millisecond)
		time.Sleep(4 * tick)
		got := ask(s, s.d.BuryLeases, live, expired, unique("x"), other)
		for i, want := range []bool{false, true, true, false} {
			if got[i].Dead != want || got[i].Dead == (got[i].Remaining > 0) {
				s.Errorf("BuryLeases %d: %+v", i, got[i])
			}
		}
		if got[1].Overdue <= 0 {
			s.Errorf("a lease that ran out %s ago", got[1].Overdue)
		}
	})
	s.run("empty ones", empty)
	s.run("many", many)
	s.run("batches that overlap", overlap)
}

// empty slices are answered without the database: here it is closed.
func empty(s *suite) {
	d := s.d
	if s.DB != nil {
		db := s.Open(s.T)
		s.must(db.Close())
		d = s.New(db)
	}
	check := func(what string, n int, err error) {
		if err != nil || n != 0 {
			s.Errorf("%s: %d answers, error %v", what, n, err)
		}
	}
	renewed, err := d.RenewLeases(s.ctx, nil)
	check("RenewLeases", len(renewed), err)
	burials, err := d.BuryLeases(s.ctx, []string{})
	check("BuryLeases", len(burials), err)
	check("DeleteLeases", 0, d.DeleteLeases(s.ctx, nil))
	grants, err := d.Acquire(s.ctx, nil)
	check("Acquire", len(grants), err)
	released, err := d.Release(s.ctx, []dialect.Claim{})
	check("Release", len(released), err)
	guarded, err := d.Guard(s.ctx, nil, nil)
	check("Guard", len(guarded), err)
	rows, err := d.Look(s.ctx, nil)
	check("Look", len(rows), err)
	freed, err := d.Free(s.ctx, nil)
	check("Free", len(freed), err)
}

// many: a batch of a size that a busy process sends.
func many(s *suite) {
	const n = 100
	lease, prefix := s.lease(long), unique("many")
	var requests []dialect.Request
	var claims []dialect.Claim
	var keys []dialect.Key
	for i := range n {
		r := request(fmt.Sprintf("%s/%d", prefix, i), lease)
		requests, claims, keys = append(requests, r), append(claims, claim(r)), append(keys, r.Key)
	}
	rand.Shuffle(n, func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
	for range 2 {
		grants := ask(s, s.d.Acquire, requests...)
		for i, row := range ask(s, s.d.Look, keys...) {
			if !grants[i].Granted || row.Fence != grants[i].Fence || row.Owner != requests[i].Owner {
				s.Fatalf("%d: %+v, and the row is %+v", i, grants[i], row)
			}
		}
		if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
			s.Fatal("a release was refused")
		}
	}
}

// overlap: processes whose batches name the same locks, in any order, don't deadlock for ever, and share them out.
func overlap(s *suite) {
	const batches, size = 4, 20
	if s.DB != nil {
		s.DB.SetMaxIdleConns(batches)
	}
	lease := s.lease(long)
	for range 2 {
		prefix := unique("overlap")
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			won   = make(map[dialect.Key]int)
		)
		for range batches {
			var requests []dialect.Request
			for i := range size {
				requests = append(requests, request(fmt.Sprintf("%s/%d", prefix, i), lease))
			}
			rand.Shuffle(size, func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
			group.Go(func() {
				grants, err := settle(s, func(ctx context.Context) ([]dialect.Grant, error) { return s.d.Acquire(ctx, requests) })
				if err != nil || len(grants) != size {
					s.Errorf("%d grants, error %v", len(grants), err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for i, g := range grants {
					if g.Granted {
						won[requests[i].Key]++
					}
				}
			})
		}
		group.Wait()
		for key, n := range won {
			if n != 1 {
				s.Errorf("%q was granted %d times", key.Name, n)
			}
		}
		if len(won) != size {
			s.Errorf("%d of %d locks were granted", len(won), size)
		}
	}
}
