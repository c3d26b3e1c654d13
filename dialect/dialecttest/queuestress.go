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

// queueStress has members that queue for one lock, each under a lease of its own.
type queueStress struct {
	crossing
	key     dialect.Key
	holders atomic.Int32
	fence   atomic.Int64 // the last one

	given, passed, gaveUp atomic.Int64
}

// member holds the lock under one request after the other.
type member struct {
	*queueStress
	d        dialect.Dialect
	lease    string
	channel  string
	notifier dialect.Listener // nil if it polls
}

// runQueueStress lets many members acquire, wait, give up, transfer and release, on two pools.
// There is one holder at a time, fences increase, and nothing is left behind.
func runQueueStress(s *suite) {
	const size = 8
	t := &queueStress{
		crossing: crossing{suite: s, until: time.Now().Add(time.Second)},
		key:      dialect.Key{Name: unique("stress"), Slot: 1},
	}
	s.keepIdle(size)
	pools := []dialect.Dialect{s.d, s.another(size)}
	var members []*member
	for i := range size {
		m := &member{queueStress: t, d: pools[i%len(pools)], lease: s.lease(long)}
		switch {
		case s.Powers.Notifier && i%4 == 1:
			m.channel = "nobody"
		case s.Powers.Notifier && i%4 > 1:
			m.notifier = s.listen()
			m.channel = m.notifier.Channel()
		}
		members = append(members, m)
	}
	var group sync.WaitGroup
	for _, m := range members {
		group.Go(func() {
			for ok := true; ok && t.goesOn(); {
				ok = m.step()
			}
		})
	}
	group.Wait()
	s.awaitApplied(func() bool {
		row := s.get(t.key)
		return len(s.queue(t.key, 100)) == 0 && !row.Held && row.Fence == t.fence.Load()
	})
	s.queued(t.key)
	if row := s.get(t.key); row.Held || row.Fence != t.fence.Load() {
		s.Errorf("the row is %+v, the last fence was %d", row, t.fence.Load())
	}
	if t.taken.Load() == 0 {
		s.Error("nothing was ever taken")
	}
	s.Logf("taken %d times, handed over %d times, transferred %d times, given up %d times, %d transient errors",
		t.taken.Load(), t.given.Load(), t.passed.Load(), t.gaveUp.Load(), t.retried.Load())
}

func (m *member) request() dialect.Request {
	r := request(m.key.Name, m.lease)
	r.Slot = m.key.Slot
	return r
}

// step takes the lock, waits for it or gives up, and transfers or releases it. It returns false
// after a failure.
func (m *member) step() bool {
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
			grants, err = m.d.Transfer(m.ctx, []dialect.Transfer{{Claim: claim(r), Next: next}})
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

// wait queues for the lock until it has got it, or gives up.
func (m *member) wait(r dialect.Request) (got, ok bool) {
	if !m.retryUntilDone(m.d, func() error {
		_, err := m.d.Enqueue(m.ctx, []dialect.Waiter{{Request: r, Channel: m.channel}})
		return err
	}) {
		return false, false
	}
	for range 1 + rand.IntN(12) {
		m.waitNotified(r)
		if got, ok = m.acquire(r); got || !ok {
			break
		}
	}
	var was []bool
	if !m.retryUntilDone(m.d, func() (err error) {
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
	case !m.Powers.Notifier:
		m.Error("it was taken out of the queue, and not by itself")
		return false, false
	}
	m.given.Add(1)
	if got, ok = m.acquire(r); !got {
		m.Error("it isn't in the queue, and the lock isn't its own")
	}
	return got, ok
}

// waitNotified waits for a notification, or for a moment.
func (m *member) waitNotified(r dialect.Request) {
	if m.notifier == nil {
		time.Sleep(rand.N(tick))
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, 4*tick)
	defer cancel()
	switch h, err := m.notifier.Next(ctx); {
	case errors.Is(err, context.DeadlineExceeded):
	case err != nil:
		m.Errorf("Next: %v", err)
	case h.Owner == r.Owner: // otherwise it is about a hand-over that was already found
		m.given.Add(1)
	}
}

// acquire counts the holders of the lock.
func (m *member) acquire(r dialect.Request) (got, ok bool) {
	var grants []dialect.Grant
	if !m.retryUntilDone(m.d, func() (err error) {
		grants, err = m.d.Acquire(m.ctx, []dialect.Request{r})
		return err
	}) {
		return false, false
	}
	if grants[0].Granted {
		m.taken.Add(1)
		m.enter(grants[0].Fence)
	}
	return grants[0].Granted, true
}

// enter is called with a fence by a new holder, and with 0 by one that still holds the lock.
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

// leave counts the member out and calls release.
func (m *member) leave(release func() error) bool {
	m.holders.Add(-1)
	return m.retryUntilDone(m.d, release)
}
