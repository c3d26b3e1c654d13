package sqllock

import (
	"errors"
	"time"
)

// renewal is what became of a heartbeat.
type renewal struct {
	sent moment
	err  error
}

// keep is the heartbeat of one lease: one statement an interval, whatever the number of locks under it. It ends
// the lease at the moment when it can no longer be relied on, even while a statement is stuck.
func (l *lease) keep() {
	var underWay chan renewal // nil between heartbeats
	last, interval := l.trust.sent, beatEvery(l.ttl)
	for {
		left := l.left()
		if left <= 0 {
			l.lose(l.outlived())
			return
		}
		due := interval - now().since(last)
		if underWay == nil && due <= 0 {
			if l.retire() {
				l.goodbye()
				return
			}
			last = now()
			underWay = l.beat(last, l.anchor.patience(l, left))
			continue
		}
		// A timer doesn't run while the machine is suspended: look at the clock at least once a second.
		wait := min(left, time.Second)
		if underWay == nil {
			wait = min(wait, due)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case r := <-underWay:
			underWay = nil
			last, interval = l.heard(r)
		case <-l.stop:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// beat sends one heartbeat without waiting for the answer.
func (l *lease) beat(sent moment, timeout time.Duration) chan renewal {
	answer := make(chan renewal, 1)
	started := l.c.spawn(func() {
		ctx, cancel := l.c.within(timeout)
		defer cancel()
		answer <- renewal{sent: sent, err: l.anchor.beat(ctx, l)}
	})
	if !started {
		return nil
	}
	return answer
}

// heard takes a heartbeat's answer, and says from when to count how long until the next one.
func (l *lease) heard(r renewal) (from moment, interval time.Duration) {
	switch {
	case errors.Is(r.err, errOver):
		l.lose(r.err.Error())
	case r.err != nil:
		l.c.log.Warn("sqllock: heartbeat failed; trying again", "lease", l.id, "left", l.left(), "err", r.err)
		return now(), jitter(min(l.ttl/20, patience))
	default:
		l.renewed(r.sent)
	}
	return r.sent, beatEvery(l.ttl)
}

// goodbye ends a lease that nobody used. If that fails, it runs out by itself.
func (l *lease) goodbye() {
	ctx, cancel := l.c.within(patience)
	defer cancel()
	if err := l.anchor.end(ctx, l); err != nil {
		l.c.log.Debug("sqllock: ending an idle lease failed; it will run out", "lease", l.id, "err", err)
	}
}
