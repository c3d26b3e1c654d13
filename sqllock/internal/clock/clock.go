// Package clock measures for how long a process may rely on a lease.
package clock

import (
	"sync/atomic"
	"time"
)

// Instant is a moment on two clocks that measure elapsed time: Go's monotonic clock, which stops
// while the machine is suspended, and one that doesn't stop, where there is one.
type Instant struct {
	mono  time.Time
	ahead time.Duration // by how much the second clock is ahead of the first, apart from a constant
}

// Now returns the present moment. It looks at the second clock at most once in lookEvery, because
// that takes a system call.
func Now() Instant {
	now := time.Now()
	if last := lastLook.Load(); last != nil {
		if since := now.Sub(last.mono); since >= 0 && since < lookEvery {
			return Instant{now, last.ahead}
		}
	}
	return Exactly()
}

// lookEvery is for how long Now may not know, after a machine was resumed, that it was suspended.
// What decides whether a lock can still be relied on uses [Exactly].
const lookEvery = 5 * time.Millisecond

// lastLook is the moment of the last look at the second clock; nil before the first one.
var lastLook atomic.Pointer[Instant]

// Exactly is Now with a look at the second clock, for a caller that acts on a lease's end.
func Exactly() Instant {
	for tries := 0; ; tries++ {
		now := time.Now()
		boot := bootTime()
		if tries < maxTries && time.Since(now) > lookWithin { // this thread was interrupted in between
			continue
		}
		n := Instant{now, 0}
		if boot != 0 {
			n.ahead = boot - now.Sub(started)
		}
		lastLook.Store(&n)
		return n
	}
}

// A look at both clocks is repeated if it took longer than lookWithin.
const (
	lookWithin = 100 * time.Microsecond
	maxTries   = 5
)

var started = time.Now() // any moment will do

// Since returns the time that passed from m to n. If the clocks disagree it returns the longer
// time: relying on a lease for too short a time costs a renewal, relying on it for too long breaks
// the lock's promise.
func (n Instant) Since(m Instant) time.Duration {
	return n.mono.Sub(m.mono) + max(n.ahead-m.ahead, 0)
}

// Add returns the instant d after n. d may be negative.
func (n Instant) Add(d time.Duration) Instant { return Instant{n.mono.Add(d), n.ahead} }
