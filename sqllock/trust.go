package sqllock

import "time"

// trust is how long this process may rely on a lease: a value without a clock of its own, so that every case of
// it can be tested. The lease began, at the latest, when the last successful renewal was *sent*; the database
// counts from when it arrived, so the process is always the first to give up.
type trust struct {
	sent moment
	ttl  time.Duration
}

// left is how long the lease can be relied on after now; zero or less: no longer.
func (t trust) left(now moment) time.Duration {
	return t.ttl - margin(t.ttl) - now.since(t.sent)
}

// renewed is the trust after a renewal that was sent at that moment succeeded. Answers may arrive out of order;
// trust never shrinks by one.
func (t trust) renewed(sent moment) trust {
	if sent.since(t.sent) > 0 {
		t.sent = sent
	}
	return t
}

// margin is what the process gives up before the lease's end: a tenth, at most a second, for what lies between
// looking at the clock and acting on it, and 1,000 ppm for two clocks that run at different speeds (quartz is
// within 100, NTP slews at 500).
func margin(ttl time.Duration) time.Duration {
	return min(ttl/10, time.Second) + ttl/1000
}

// beatEvery is the interval of heartbeats: two may fail before the lease is lost.
func beatEvery(ttl time.Duration) time.Duration { return ttl / 3 }
