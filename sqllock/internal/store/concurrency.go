package store

import "time"

// concurrency decides how many statements of a lane are in flight at a time. More let the server
// work on several at once. Fewer make larger batches, each of which has one commit. Which of the
// two is better depends on the server, its disk, the network, the pool and the number of callers,
// so it is measured: as long as calls follow one another, another number is tried from time to
// time, and the one with which more calls were answered in the same time is kept.
//
// It is not safe for concurrent use.
type concurrency struct {
	fixed bool // one at a time, and no trials
	limit int  // how many statements may be in flight at a time

	began time.Time // of the present measurement; zero if there is none
	calls int       // answered since then

	trial   bool    // the number is on trial
	before  int     // limit, before the trial
	rate    float64 // calls a second, before the trial
	down    bool    // the next trial is of a smaller number
	resting time.Time
	rest    time.Duration // between trials
}

const (
	maxConcurrency = 8

	// A measurement has at least this many calls and lasts at least that long.
	minCalls   = 64
	minMeasure = 25 * time.Millisecond

	// A number that is tried has to be better by a tenth. After a trial that failed, the next one
	// waits longer than the one before.
	minGain = 1.1
	minRest = 250 * time.Millisecond
	maxRest = 30 * time.Second
)

// answered records that a statement of n calls has ended. idle reports that no other statement is
// in flight, and that no call waits.
func (c *concurrency) answered(now time.Time, n int, idle bool) {
	switch {
	case c.fixed:
		return
	case idle: // how fast callers come is no measure of how fast they are served
		c.began = time.Time{}
		return
	case c.began.IsZero():
		c.began, c.calls = now, 0
		return
	}
	c.calls += n
	took := now.Sub(c.began)
	if c.calls < minCalls || took < minMeasure {
		return
	}
	c.measured(now, float64(c.calls)/took.Seconds())
	c.began, c.calls = now, 0
}

// measured ends a measurement, and begins or ends a trial.
func (c *concurrency) measured(now time.Time, rate float64) {
	switch {
	case c.trial && rate > minGain*c.rate: // then another step in that direction may be better still
		c.trial, c.rest, c.resting = false, 0, now
	case c.trial:
		c.trial, c.limit, c.down = false, c.before, !c.down
		c.rest = min(max(2*c.rest, minRest), maxRest)
		c.resting = now.Add(c.rest)
		return
	}
	if now.Before(c.resting) {
		return
	}
	c.trial, c.before, c.rate = true, c.limit, rate
	if c.down && c.limit > 1 {
		c.limit /= 2
	} else {
		c.down, c.limit = false, min(2*c.limit, maxConcurrency)
	}
	if c.limit == c.before { // at the greatest number: try a smaller one next time
		c.trial, c.down = false, true
	}
}
