package dialecttest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// throng is a crowd that queues for one lock, all under leases of their own.
type throng struct {
	crossing
	key     dialect.Key
	holders atomic.Int32
	fence   atomic.Int64 // the last one

	given, passed, gaveUp atomic.Int64
}

// member is one of it, who holds the lock under one request after the other.
type member struct {
	*throng
	d       dialect.Dialect
	lease   string
	channel string
	wakes   dialect.Wakes // nil: it polls
}

// thronged: many who come, wait, give up, pass on and release, on two pools: there is one holder at a time, fences grow,
// and nothing is left behind.
func thronged(s *suite) {
	const size = 8
	t := &throng{crossing: crossing{suite: s, until: time.Now().Add(time.Second)}, key: dialect.Key{Name: unique("throng"), Slot: 1}}
	pools := []dialect.Dialect{s.d}
	if s.DB != nil {
		s.DB.SetMaxIdleConns(size)
		db := s.Open(s.T)
		db.SetMaxIdleConns(size)
		pools = append(pools, s.New(db))
	}
	var members []*member
	for i := range size {
		m := &member{throng: t, d: pools[i%len(pools)], lease: s.lease(long)}
		switch {
		case s.Powers.Wakes && i%4 == 1:
			m.channel = "nobody"
		case s.Powers.Wakes && i%4 > 1:
			m.wakes = s.listen()
			m.channel = m.wakes.Channel()
		}
		members = append(members, m)
	}
	var group sync.WaitGroup
	for _, m := range members {
		group.Go(func() {
			for going := true; going && time.Now().Before(t.until); {
				going = m.turn()
			}
		})
	}
	group.Wait()
	s.queued(t.key)
	if row := s.look(t.key); row.Held || row.Fence != t.fence.Load() {
		s.Errorf("the row is %+v, the last fence was %d", row, t.fence.Load())
	}
	if t.taken.Load() == 0 {
		s.Error("nothing was ever taken")
	}
	s.Logf("taken %d times, handed over %d times, passed on %d times, given up %d times, %d transient errors",
		t.taken.Load(), t.given.Load(), t.passed.Load(), t.gaveUp.Load(), t.retried.Load())
}

func (m *member) request() dialect.Request {
	r := request(m.key.Name, m.lease)
	r.Slot = m.key.Slot
	return r
}

// turn takes the lock, waits for it or gives up, and lets go of it in one of two ways. False: something failed.
func (m *member) turn() bool {
	r := m.request()
	got, ok := m.acquire(r)
	if ok && !got {
		got, ok = m.wait(r)
	}
	if !ok || !got {
		return ok
	}
	for range rand.IntN(3) {
		next := m.request()
		var grants []dialect.Grant
		if !m.leave(func() (err error) {
			grants, err = m.d.Pass(m.ctx, []dialect.Pass{{Claim: claim(r), Next: next}})
			return err
		}) {
			return false
		}
		if grants[0].Granted {
			m.passed.Add(1)
			r = next
		}
		m.enter(grants[0].Fence)
	}
	var released []bool
	ok = m.leave(func() (err error) { released, err = m.d.Release(m.ctx, []dialect.Claim{claim(r)}); return err })
	if ok && !released[0] {
		m.Error("its holder's release was refused")
	}
	return ok
}

// wait queues for the lock until it has got it, or has had enough.
func (m *member) wait(r dialect.Request) (got, ok bool) {
	if !m.insist(m.d, func() error {
		_, err := m.d.Enqueue(m.ctx, []dialect.Waiter{{Request: r, Channel: m.channel}})
		return err
	}) {
		return false, false
	}
	for range 1 + rand.IntN(12) {
		m.doze(r)
		if got, ok = m.acquire(r); got || !ok {
			break
		}
	}
	var was []bool
	if !m.insist(m.d, func() (err error) {
		was, err = m.d.Dequeue(m.ctx, []dialect.Claim{claim(r)})
		return err
	}) {
		return false, false
	}
	switch {
	case was[0] || got:
		if !got {
			m.gaveUp.Add(1)
		}
		return got, true
	case !m.Powers.Wakes:
		m.Error("it was taken out of the queue, and not by itself")
		return false, false
	}
	m.given.Add(1)
	if got, ok = m.acquire(r); !got {
		m.Error("it isn't in the queue, and the lock isn't its own")
	}
	return got, ok
}

// doze waits until it is told, or for a moment.
func (m *member) doze(r dialect.Request) {
	if m.wakes == nil {
		time.Sleep(rand.N(tick))
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, 4*tick)
	defer cancel()
	switch h, err := m.wakes.Next(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
	case err != nil:
		m.Errorf("Next: %v", err)
	case h.Owner == r.Owner: // else it is about one that has been found already
		m.given.Add(1)
	}
}

// acquire counts who holds the lock.
func (m *member) acquire(r dialect.Request) (got, ok bool) {
	var grants []dialect.Grant
	if !m.insist(m.d, func() (err error) { grants, err = m.d.Acquire(m.ctx, []dialect.Request{r}); return err }) {
		return false, false
	}
	if grants[0].Granted {
		m.taken.Add(1)
		m.enter(grants[0].Fence)
	}
	return grants[0].Granted, true
}

// enter is called with a fence by who has just got it, and with none by who still has it.
func (m *member) enter(fence int64) {
	if n := m.holders.Add(1); n != 1 {
		m.Errorf("there are %d holders", n)
	}
	if last := m.fence.Load(); fence != 0 && fence <= last {
		m.Errorf("fence %d after %d", fence, last)
	} else if fence != 0 {
		m.fence.Store(fence)
	}
}

// leave says that it doesn't hold it any more, and lets go.
func (m *member) leave(letGo func() error) bool {
	m.holders.Add(-1)
	return m.insist(m.d, letGo)
}
