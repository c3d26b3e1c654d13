package sqllock

import "time"

// moment is a reading of the two clocks that can tell how much time has passed: Go's monotonic clock, which
// stops while the machine is suspended, and one that doesn't, where there is one.
type moment struct {
	mono time.Time
	boot time.Duration // since the machine's start, suspended or not; zero where there is no such clock
}

func now() moment { return moment{mono: time.Now(), boot: bootTime()} }

// since is the time that passed from m to n. Where the clocks disagree it believes the one that says more: a
// lease trusted too short costs a renewal, one trusted too long costs the lock's promise.
func (n moment) since(m moment) time.Duration {
	return max(n.mono.Sub(m.mono), n.boot-m.boot)
}
