package dialecttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/sqllock/sqllock/dialect"
)

// empty checks that empty slices don't need the database, which is closed here.
func empty(s *suite) {
	d := s.d
	if s.DB != nil {
		pool := s.pools().Open(s.T)
		s.must(pool.Close())
		d = pool.Dialect()
	}
	check := func(what string, n int, err error) {
		if err != nil || n != 0 {
			s.Errorf("%s: %d results, error %v", what, n, err)
		}
	}
	renewed, err := d.RenewLeases(s.ctx, nil)
	check("RenewLeases", len(renewed), err)
	expiries, err := d.ExpireLeases(s.ctx, []string{})
	check("ExpireLeases", len(expiries), err)
	check("DeleteLeases", 0, d.DeleteLeases(s.ctx, nil))
	grants, err := d.Acquire(s.ctx, nil)
	check("Acquire", len(grants), err)
	released, err := d.Release(s.ctx, []dialect.Claim{})
	check("Release", len(released), err)
	guarded, err := d.Guard(s.ctx, nil, nil)
	check("Guard", len(guarded), err)
	rows, err := d.Get(s.ctx, nil)
	check("Get", len(rows), err)
	freed, err := d.Free(s.ctx, nil)
	check("Free", len(freed), err)
}

// many checks a batch as large as those of a busy process.
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
		for i, row := range ask(s, s.d.Get, keys...) {
			if !grants[i].Granted || row.Fence != grants[i].Fence || row.Owner != requests[i].Owner {
				s.Fatalf("%d: %+v, and the row is %+v", i, grants[i], row)
			}
		}
		if got := ask(s, s.d.Release, claims...); slices.Contains(got, false) {
			s.Fatal("a release was refused")
		}
	}
}

// overlap checks that processes whose batches name the same locks, in any order, don't deadlock for
// ever, and that each lock goes to one of them.
func overlap(s *suite) {
	const batches, size = 4, 20
	s.keepIdle(batches)
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
				grants, err := retryTransient(s, func(ctx context.Context) ([]dialect.Grant, error) {
					return s.d.Acquire(ctx, requests)
				})
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
