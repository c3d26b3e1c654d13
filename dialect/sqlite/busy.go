package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"
)

// SQLite keeps no queue of those who wait for a lock. Each tries again and again, and the one that
// tries while the lock is free gets it. SQLite's own handler (busy_timeout) soon tries only ten
// times a second, so for seconds on end it loses to a connection that writes in a loop and leaves
// the lock free for some microseconds each time. A wait of this package tries more often, and more
// often still as its remaining time gets short, which for a heartbeat is the rest of its lease.
//
// Even so, single tries meet such a writer's gaps by luck only. So a heartbeat tries without a
// pause for the length of a burst, and then pauses. A burst in which the writer commits meets the
// gap.
const (
	minBackoff = 250 * time.Microsecond
	maxBackoff = 5 * time.Millisecond
	lastPhase  = time.Second // of a wait, in which its backoff's limit goes down to minBackoff

	burst           = 20 * time.Millisecond
	maxBurstBackoff = 3 * burst // so bursts take a quarter of one CPU, and more in the last phase
)

// wait is the wait of one call, from when it first finds the database busy.
type wait struct {
	file    string // of the database, if known
	began   time.Time
	backoff time.Duration
	refused bool // at least once

	longest time.Duration // backoff's limit
	burst   time.Duration // how long to try without a pause after each backoff
	resumed time.Time     // when the last backoff ended
}

func startWait(file string) *wait {
	return &wait{file: file, began: time.Now(), backoff: minBackoff, longest: maxBackoff}
}

// startHeartbeatWait is startWait for heartbeats, which lose their locks if they wait too long.
func startHeartbeatWait(file string) *wait {
	w := startWait(file)
	w.longest, w.burst = maxBurstBackoff, burst
	return w
}

// again returns when it is time for the next try. It returns false if ctx ends before that.
func (w *wait) again(ctx context.Context) bool {
	w.refused = true
	if time.Since(w.resumed) < w.burst {
		runtime.Gosched()
		return ctx.Err() == nil
	}
	longest := w.longest
	if end, ok := ctx.Deadline(); ok {
		tries := lastPhase / longest // as many in what is left, if that is less
		longest = min(longest, max(time.Until(end)/tries, minBackoff))
	}
	backoff := min(w.backoff, longest)
	w.backoff = min(2*w.backoff, w.longest)
	// spreads out calls that were refused together
	timer := time.NewTimer(backoff/2 + rand.N(backoff))
	defer timer.Stop()
	select {
	case <-timer.C:
		w.resumed = time.Now()
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// gaveUp returns the error of a wait that ctx has ended. busy is SQLite's error of the last try.
func (w *wait) gaveUp(ctx context.Context, busy error) error {
	by := describeWriter(w.file)
	if by == "" {
		by = "a transaction that was left open, or a long one, does that"
	} else {
		by = "its write lock is now held by " + by
	}
	return &busyError{
		text: fmt.Sprintf("for %s other connections kept the database locked at every try; %s",
			time.Since(w.began).Round(time.Millisecond), by),
		causes: []error{ctx.Err(), busy},
	}
}

// busyError is Transient: ctx ended during a wait, and nothing was sent to the database.
type busyError struct {
	text   string
	causes []error // ctx's error, and SQLite's if there is one
}

func (e *busyError) Error() string {
	parts := []string{e.text}
	for _, cause := range e.causes {
		parts = append(parts, cause.Error())
	}
	return strings.Join(parts, ": ")
}

func (e *busyError) Unwrap() []error { return e.causes }

// whenFree repeats ask for as long as others have the database locked, until ctx ends.
func whenFree[T any](ctx context.Context, file string, ask func() (T, error)) (T, error) {
	return untilFree(ctx, startWait(file), ask)
}

// untilFree is whenFree within a wait that has begun.
func untilFree[T any](ctx context.Context, w *wait, ask func() (T, error)) (T, error) {
	for {
		result, err := ask()
		if !isBusy(err) || ctx.Err() != nil && errors.As(err, new(*busyError)) {
			return result, err
		}
		if !w.again(ctx) {
			return result, w.gaveUp(ctx, err)
		}
	}
}
