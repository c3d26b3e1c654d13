// Package clock measures for how long a process may rely on a lease.
package clock

import "time"

// Instant is a reading of the two clocks that measure elapsed time: Go's monotonic clock, which
// stops while the machine is suspended, and one that doesn't stop, where there is one.
type Instant struct {
	mono time.Time
	boot time.Duration // since the machine was started, including suspend; zero if there is no such clock
}

// Now reads the clocks.
func Now() Instant { return Instant{mono: time.Now(), boot: bootTime()} }

// Since returns the time that passed from m to n. If the clocks disagree it returns the longer
// time: relying on a lease for too short a time costs a renewal, relying on it for too long breaks
// the lock's promise.
func (n Instant) Since(m Instant) time.Duration {
	return max(n.mono.Sub(m.mono), n.boot-m.boot)
}

// Add returns the instant d after n. d may be negative.
func (n Instant) Add(d time.Duration) Instant { return Instant{n.mono.Add(d), n.boot + d} }
