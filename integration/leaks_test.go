package integration

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/sqllock"
)

// Leaks are searched for in a worker, which runs nothing else. In the test's own process the search
// would find the goroutines of all tests that run at the same time.

// cleared closes db. It fails if db still has connections in use after a while, or if there is a
// goroutine after closing db that was not there before.
func cleared(db *sql.DB, before goleak.Option) error {
	for deadline := time.Now().Add(stepTimeout / 4); db.Stats().InUse > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d connections are still in use", db.Stats().InUse)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	var err error
	for deadline := time.Now().Add(stepTimeout / 4); time.Now().Before(deadline); {
		if err = goleak.Find(before); err == nil { // Find itself retries for a moment
			return nil
		}
	}
	return err
}

// emptied waits until no lock is held, and returns how long that took.
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
