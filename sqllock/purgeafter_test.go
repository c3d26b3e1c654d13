package sqllock_test

import (
	"math"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// The longest PurgeAfter there is keeps everything: bars and signs too.
func TestPurgeAfterForever(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a", func(o *sqllock.Options) { o.PurgeAfter = math.MaxInt64 })
		mustRelease(t, mustTry(t, c, "cron", sqllock.HoldAtLeast(time.Hour)))
		mustRelease(t, mustTry(t, c, "shared", sqllock.Shared()))
		time.Sleep(time.Second)
		r, err := c.Reap(t.Context())
		if err != nil || r.Purged != 0 {
			t.Errorf("Reap = %+v, %v; want nothing purged", r, err)
		}
		if lock, err := c.TryAcquire(t.Context(), "cron"); err == nil {
			t.Error("HoldAtLeast(an hour) is over after a second", lock.Name())
		}
	})
}

// Else a writer and a reader would hold one name.
func TestPurgeAfterForeverTwoHolders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		forever := func(o *sqllock.Options) { o.PurgeAfter = math.MaxInt64 }
		a, c := client(t, db, "a", forever), client(t, db, "c")
		reader := mustTry(t, a, "shared", sqllock.Shared())
		time.Sleep(time.Second)
		if r, err := a.Reap(t.Context()); err != nil || r.Purged != 0 {
			t.Errorf("Reap = %+v, %v", r, err)
		}
		lock, err := c.TryAcquire(t.Context(), "shared")
		if err == nil && reader.Context().Err() == nil {
			t.Error("exclusive, beside a reader", lock.Name())
		}
	})
}
