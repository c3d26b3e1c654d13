package sqllock

import (
	"sync"
	"sync/atomic"
	"time"
)

// counters are what a Client counts for its [Stats].
type counters struct {
	acquired, lost, guardsRefused, deadlocks, breaks, freed atomic.Int64
	heartbeats, heartbeatFailures                           atomic.Int64
	lastHeartbeat                                           atomicTime
	lowest                                                  lowestMargin

	mu     sync.Mutex
	reaped Reaped // guarded by mu
}

func (n *counters) addReaped(did Reaped) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reaped.Leases += did.Leases
	n.reaped.Locks += did.Locks
	n.reaped.Purged += did.Purged
	n.reaped.Waiters += did.Waiters
	n.reaped.Outcomes += did.Outcomes
	n.reaped.Breaks += did.Breaks
}

// heartbeat counts a heartbeat. left is what was left of the lease when the reply came.
func (n *counters) heartbeat(left margin, err error) {
	n.heartbeats.Add(1)
	if err != nil {
		n.heartbeatFailures.Add(1)
		return
	}
	now := time.Now()
	n.lastHeartbeat.store(now)
	n.lowest.note(left, now)
}

// atomicTime is a time that is read and written concurrently. The zero value is the zero time.
type atomicTime struct{ at atomic.Pointer[time.Time] }

func (t *atomicTime) store(at time.Time) { t.at.Store(&at) }

func (t *atomicTime) time() time.Time {
	if at := t.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// margin is the time that is left of a lease. The zero margin is that of no lease.
type margin struct{ left, ttl time.Duration }

// orLower returns the one of m and other that is the smaller part of its TTL.
func (m margin) orLower(other margin) margin {
	switch {
	case other.ttl == 0:
		return m
	case m.ttl == 0 || float64(other.left)/float64(other.ttl) < float64(m.left)/float64(m.ttl):
		return other
	}
	return m
}

// marginWindow is for how long, at least, the lowest margin is remembered. It is longer than the
// usual interval at which figures are collected.
const marginWindow = time.Minute

// lowestMargin remembers the lowest margin of the present window and of the one before it.
type lowestMargin struct {
	mu            sync.Mutex
	began         time.Time // of the present window
	now, previous margin
}

func (w *lowestMargin) note(m margin, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(at)
	w.now = w.now.orLower(m)
}

func (w *lowestMargin) least(at time.Time) margin {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(at)
	return w.now.orLower(w.previous)
}

// advance begins another window if the present one is over. The caller holds mu.
func (w *lowestMargin) advance(at time.Time) {
	switch age := at.Sub(w.began); {
	case age < marginWindow:
		return
	case age < 2*marginWindow:
		w.previous = w.now
	default:
		w.previous = margin{}
	}
	w.began, w.now = at, margin{}
}
