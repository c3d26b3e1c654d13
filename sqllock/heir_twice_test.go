package sqllock_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Two permits of a semaphore that are released at the same time are both passed to the one who waits, while he looks at the
// database: the second must not wait for room, with all of the Client behind it.
func TestHeirGotTwo(t *testing.T) {
	for range 300 {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			c := client(t, db, "a")
			a, b := mustTry(t, c, "s", sqllock.Permits(2)), mustTry(t, c, "s", sqllock.Permits(2))
			db.Delay(sqllocktest.OpPass, 200*time.Millisecond)
			db.Delay(sqllocktest.OpList, 200*time.Millisecond)
			done := make(chan struct{})
			go func() {
				defer close(done)
				lock, err := c.Acquire(context.Background(), "s", sqllock.Permits(2))
				if err != nil {
					t.Error(err)
					return
				}
				_ = lock.Release(context.Background())
			}()
			time.Sleep(time.Second + rand.N(time.Second))
			go func() { _ = a.Release(context.Background()) }()
			time.Sleep(rand.N(200 * time.Millisecond))
			go func() { _ = b.Release(context.Background()) }()
			<-done
		})
	}
}
