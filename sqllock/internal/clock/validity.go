package clock

import "time"

// Validity is how long this process may rely on a lease. It is a value without a clock of its own,
// so that every case can be tested. The lease began, at the latest, when the last successful
// renewal was sent. The database counts from when the renewal arrived, so the process always gives
// up first.
type Validity struct {
	Sent Instant // when the last successful renewal was sent
	TTL  time.Duration
}

// Remaining returns for how long after now the lease can be relied on. Zero or less means that it
// can't.
func (v Validity) Remaining(now Instant) time.Duration {
	return v.TTL - Margin(v.TTL) - now.Since(v.Sent)
}

// Lasts returns for how long after now the lease itself certainly lasts, by the database's clock.
// It is longer than Remaining by the part of the margin that is for acting.
func (v Validity) Lasts(now Instant) time.Duration {
	return v.TTL - v.TTL/drift - now.Since(v.Sent)
}

// Renewed returns the validity after a renewal that was sent at that instant has succeeded. Replies
// may arrive out of order; none of them shortens the validity.
func (v Validity) Renewed(sent Instant) Validity {
	if sent.Since(v.Sent) > 0 {
		v.Sent = sent
	}
	return v
}

// Margin returns how long before the lease's end the process gives up: a tenth of the TTL, but at
// most a second, for the time between reading the clock and acting on it, and the drift of the
// clocks.
func Margin(ttl time.Duration) time.Duration {
	return min(ttl/10, time.Second) + ttl/drift
}

// drift is by how much two clocks may disagree because they run at different speeds, as a part of
// the time: one in so many, 1,000 ppm. Quartz is within 100 ppm, NTP slews at 500 ppm.
const drift = 1000

// HeartbeatInterval returns the interval of heartbeats. Two heartbeats may fail before the lease is
// lost.
func HeartbeatInterval(ttl time.Duration) time.Duration { return ttl / 3 }
