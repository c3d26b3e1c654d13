package sqllock

import (
	"context"
	"time"
)

// MaxJobBytes is the length of the longest job of RunOccurrence: with the time, it is a key.
const MaxJobBytes = MaxNameBytes - len("@2006-01-02T15:04:05.000000000Z")

// RunOccurrence runs a scheduled job once for each time that it is scheduled for, on one of the hosts that all call this at about
// that time, however quick the job and however far apart their clocks are, as long as the outcome is kept (DefaultKeep, or
// KeepOutcome). scheduled is the time that the schedule says, the same on every host, and not the time when it is called.
// ran tells whether fn was called. It doesn't wait for another host:
//
//   - false and no error: it has been run, by another or before;
//   - false and an ErrNotAcquired, mostly a *HeldError that tells who: another runs it just now;
//   - true and fn's error: it failed, nothing is remembered, and whoever comes next runs it (but see RememberFailure: then
//     those get an ErrFailedBefore).
//
// The rest is as with Once, whose key is job + "@" + the time in UTC, as time.RFC3339Nano has it.
//
// For which to use when: RunOccurrence, where the schedule tells the time of each run. TryAcquire with HoldAtLeast, where there is
// none, or a run that failed isn't to be run again: it keeps other hosts off for a time that is longer than clocks are apart, and
// shorter than the schedule's interval. Both let the next occurrence begin while a long one is under way; a lock of the job's
// name around it (Do) keeps them apart.
func (c *Client) RunOccurrence(ctx context.Context, job string, scheduled time.Time, fn func(ctx context.Context, lock *Lock) error,
	opts ...OnceOption,
) (ran bool, err error) {
	key, err := occurrence(job, scheduled)
	if err != nil {
		return false, err
	}
	e, err := c.errand(key, fn == nil, opts)
	if err != nil {
		return false, err
	}
	_, err = c.once(ctx, e, c.TryAcquire, func(ctx context.Context, lock *Lock) ([]byte, error) {
		ran = true
		return nil, fn(ctx, lock)
	})
	return ran, err
}

// occurrence is the key of a job at a time.
func occurrence(job string, scheduled time.Time) (string, error) {
	if err := checkText("job", job); err != nil {
		return "", err
	}
	utc := scheduled.UTC()
	switch {
	case len(job) > MaxJobBytes:
		return "", invalid("the job %.40q… is %d bytes long; at most %d are allowed", job, len(job), MaxJobBytes)
	case scheduled.IsZero():
		return "", invalid("the time that job %q is scheduled for is the zero time", job)
	case utc.Year() < 0 || utc.Year() > 9999:
		return "", invalid("job %q is scheduled for the year %d; it must be from 0 to 9999", job, utc.Year())
	}
	return job + "@" + utc.Format(time.RFC3339Nano), nil
}
