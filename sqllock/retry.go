package sqllock

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// patience bounds what is asked of the database, retries included: long enough for a failover's hiccup or SQLite's
// busiest moment, short enough for a caller to be told.
const patience = 5 * time.Second

const (
	firstPause = 5 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// retry does op until it succeeds, fails for good, or ctx ends. All that it is used for may be done twice, so it
// is also repeated when its outcome is unknown; unsure tells that one was.
func (c *Client) retry(ctx context.Context, op func(context.Context) error) (unsure bool, err error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		if err = op(ctx); err == nil {
			return unsure, nil
		}
		switch c.dialect.Classify(err) {
		case dialect.Transient:
		case dialect.Unknown:
			unsure = true
		default:
			return unsure, err
		}
		if !nap(ctx, jitter(pause)) {
			return unsure, err
		}
	}
}

// nap waits for d. False: ctx ended before.
func nap(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter is d, give or take a quarter, so that those who failed together don't try again together.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}
