package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// The shortest and the longest pause between tries of a call.
const (
	FirstBackoff = 5 * time.Millisecond
	MaxBackoff   = 250 * time.Millisecond
)

// Retry calls op until it succeeds, fails permanently, or ctx ends. It also repeats op if the
// outcome of a try is unknown, so repeating op must be harmless. inDoubt reports whether the
// outcome of a try was unknown, so that the try may be carried out late.
func (s *Store) Retry(ctx context.Context, op func(context.Context) error) (inDoubt bool, err error) {
	for backoff := FirstBackoff; ; backoff = min(2*backoff, MaxBackoff) {
		if err = op(ctx); err == nil {
			return inDoubt, nil
		}
		switch s.Classify(err) {
		case dialect.ClassTransient:
			s.Reconnect(err)
		case dialect.ClassUnknown:
			inDoubt = true
		default:
			return inDoubt, err
		}
		if !Sleep(ctx, Jitter(backoff)) {
			return inDoubt, err
		}
	}
}

// Sleep waits for d. It returns false if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Jitter returns d, give or take a quarter, so that callers that failed together don't try again
// together.
func Jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
