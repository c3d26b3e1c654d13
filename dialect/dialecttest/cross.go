package dialecttest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// crossing is a crowd whose batches take and release the same locks in any order.
type crossing struct {
	*suite
	lease string
	names []string
	until time.Time

	holders                    []atomic.Int32 // of each lock
	taken, passedOver, retried atomic.Int64
}

// cross: batches of two pools that take and release the same locks at the same time don't deadlock but for errors that
// say so, give no lock to two, and leave none behind.
func cross(s *suite) {
	const size, workers = 24, 6
	c := &crossing{suite: s, lease: s.lease(long), until: time.Now().Add(time.Second), holders: make([]atomic.Int32, size)}
	prefix := unique("cross")
	for i := range size {
		c.names = append(c.names, fmt.Sprintf("%s/%d", prefix, i))
	}
	pools := []dialect.Dialect{s.d}
	if s.DB != nil {
		s.DB.SetMaxIdleConns(workers)
		db := s.Open(s.T)
		db.SetMaxIdleConns(workers)
		pools = append(pools, s.New(db))
	}
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for going := true; going && time.Now().Before(c.until); {
				going = c.cycle(pools[i%len(pools)])
			}
		})
	}
	group.Wait()
	for i, name := range c.names {
		if row := s.look(dialect.Key{Name: name}); row.Held || c.holders[i].Load() != 0 {
			s.Errorf("%q has %d holders, and its row is %+v", name, c.holders[i].Load(), row)
		}
	}
	if c.taken.Load() == 0 {
		s.Error("nothing was ever taken")
	}
	s.Logf("%d locks taken, %d releases passed over, %d transient errors", c.taken.Load(), c.passedOver.Load(), c.retried.Load())
}

// cycle takes what it can of some, and releases it.
func (c *crossing) cycle(d dialect.Dialect) bool {
	picked := rand.Perm(len(c.names))[:2+rand.IntN(len(c.names)-2)]
	requests := make([]dialect.Request, len(picked))
	for i, n := range picked {
		requests[i] = request(c.names[n], c.lease)
	}
	var grants []dialect.Grant
	if !c.insist(d, func() (err error) { grants, err = d.Acquire(c.ctx, requests); return err }) {
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

// releaseAll asks alone for those that were passed over, since somebody was at the row.
func (c *crossing) releaseAll(d dialect.Dialect, claims []dialect.Claim) bool {
	var released []bool
	if !c.insist(d, func() (err error) { released, err = d.Release(c.ctx, claims); return err }) {
		return false
	}
	for i, ours := range released {
		if ours {
			continue
		}
		c.passedOver.Add(1)
		var alone []bool
		if !c.insist(d, func() (err error) { alone, err = d.Release(c.ctx, claims[i:i+1]); return err }) {
			return false
		}
		if !alone[0] {
			c.Errorf("%q: its holder's release was refused", claims[i].Name)
		}
	}
	return true
}

// insist asks again after an error that is Transient. Another is a failure.
func (c *crossing) insist(d dialect.Dialect, f func() error) bool {
	for {
		err := f()
		switch {
		case err == nil:
			return true
		case d.Classify(err) != dialect.Transient || c.ctx.Err() != nil:
			c.Errorf("%v (class %s)", err, d.Classify(err))
			return false
		}
		c.retried.Add(1)
		time.Sleep(rand.N(tick))
	}
}
