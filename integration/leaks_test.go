package integration

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/sqllock"
)

// What is left behind is looked for in a worker, where nothing else runs: in the test's own process the goroutines
// of all the tests that run at the same time would be found.

// cleared fails if db has connections in use, which may take a moment to come back, or, after db was closed, if
// there is any goroutine that wasn't there before.
func cleared(db *sql.DB, before goleak.Option) error {
	for deadline := time.Now().Add(patience / 4); db.Stats().InUse > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d connections are still in use", db.Stats().InUse)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	var err error
	for deadline := time.Now().Add(patience / 4); time.Now().Before(deadline); {
		if err = goleak.Find(before); err == nil { // which itself waits for a moment
			return nil
		}
	}
	return err
}

// emptied waits until nobody holds a lock, and answers how long that took.
func emptied(ctx context.Context, c *sqllock.Client, within time.Duration) (time.Duration, error) {
	for started := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		names, err := heldLocks(ctx, c)
		if err != nil || len(names) == 0 {
			return time.Since(started), err
		}
		if time.Since(started) > within {
			return within, fmt.Errorf("after %s these locks are still held: %v", within, names)
		}
	}
}
