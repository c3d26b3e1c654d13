package dialecttest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// crossing has workers whose batches take and release the same locks in any order.
type crossing struct {
	*suite
	lease string
	names []string
	until time.Time

	holders                 []atomic.Int32 // of each lock
	taken, skipped, retried atomic.Int64
}

// cross checks batches of two pools that take and release the same locks at the same time. They
// deadlock only with errors that say so, grant no lock twice, and leave none behind.
func cross(s *suite) {
	const size, workers = 24, 6
	c := &crossing{
		suite: s, lease: s.lease(long), until: time.Now().Add(time.Second),
		holders: make([]atomic.Int32, size),
	}
	prefix := unique("cross")
	for i := range size {
		c.names = append(c.names, fmt.Sprintf("%s/%d", prefix, i))
	}
	s.keepIdle(workers)
	pools := []dialect.Dialect{s.d, s.another(workers)}
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for ok := true; ok && c.goesOn(); {
				ok = c.cycle(pools[i%len(pools)])
			}
		})
	}
	group.Wait()
	for i, name := range c.names {
		s.awaitApplied(func() bool { return !s.get(dialect.Key{Name: name}).Held })
		if row := s.get(dialect.Key{Name: name}); row.Held || c.holders[i].Load() != 0 {
			s.Errorf("%q has %d holders, and its row is %+v", name, c.holders[i].Load(), row)
		}
	}
	if c.taken.Load() == 0 {
		s.Error("nothing was ever taken")
	}
	s.Logf("%d locks taken, %d releases skipped, %d transient errors",
		c.taken.Load(), c.skipped.Load(), c.retried.Load())
}

// goesOn reports whether the workers continue: until their time is over, and on a busy machine
// until something has happened.
func (c *crossing) goesOn() bool {
	now := time.Now()
	return now.Before(c.until) || c.taken.Load() == 0 && now.Before(c.until.Add(long))
}

// cycle takes what it can of a few locks, and releases it.
func (c *crossing) cycle(d dialect.Dialect) bool {
	picked := rand.Perm(len(c.names))[:2+rand.IntN(len(c.names)-2)]
	requests := make([]dialect.Request, len(picked))
	for i, n := range picked {
		requests[i] = request(c.names[n], c.lease)
	}
	var grants []dialect.Grant
	if !c.retryUntilDone(d, func() (err error) { grants, err = d.Acquire(c.ctx, requests); return err }) {
		return false
	}
	var claims []dialect.Claim
	var held []int
	for i, g := range grants {
		if g.Granted {
			if n := c.holders[picked[i]].Add(1); n != 1 {
				c.Errorf("%q has %d holders", requests[i].Name, n)
			}
			claims, held = append(claims, claim(requests[i])), append(held, picked[i])
		}
	}
	c.taken.Add(int64(len(held)))
	for _, n := range held {
		c.holders[n].Add(-1)
	}
	return c.releaseAll(d, claims)
}

// releaseAll releases those claims alone that were skipped because their row was locked.
func (c *crossing) releaseAll(d dialect.Dialect, claims []dialect.Claim) bool {
	var released []bool
	if !c.retryUntilDone(d, func() (err error) { released, err = d.Release(c.ctx, claims); return err }) {
		return false
	}
	for i, ours := range released {
		if ours {
			continue
		}
		c.skipped.Add(1)
		var alone []bool
		if !c.retryUntilDone(d, func() (err error) { alone, err = d.Release(c.ctx, claims[i:i+1]); return err }) {
			return false
		}
		if !alone[0] {
			c.Errorf("%q: its holder's release was refused", claims[i].Name)
		}
	}
	return true
}

// retryUntilDone repeats f after a Transient error. Any other error fails the test.
func (c *crossing) retryUntilDone(d dialect.Dialect, f func() error) bool {
	for {
		err := f()
		switch {
		case err == nil:
			return true
		case d.Classify(err) != dialect.ClassTransient || c.ctx.Err() != nil:
			c.Errorf("%v (class %s)", err, d.Classify(err))
			return false
		}
		c.retried.Add(1)
		time.Sleep(rand.N(tick))
	}
}
