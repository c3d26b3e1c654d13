package sqllock_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// The longest PurgeAfter keeps everything, including bars and readers' rows.
func TestPurgeAfterForever(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a", func(o *sqllock.Options) { o.PurgeAfter = math.MaxInt64 })
		mustRelease(t, mustTry(t, c, "cron", sqllock.HoldAtLeast(time.Hour)))
		mustRelease(t, mustTry(t, c, "shared", locktest.Shared))
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

// Otherwise a writer and a reader would hold one name.
func TestPurgeAfterForeverTwoHolders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		forever := func(o *sqllock.Options) { o.PurgeAfter = math.MaxInt64 }
		a, c := client(t, db, "a", forever), client(t, db, "c")
		reader := mustTry(t, a, "shared", locktest.Shared)
		time.Sleep(time.Second)
		if r, err := a.Reap(t.Context()); err != nil || r.Purged != 0 {
			t.Errorf("Reap = %+v, %v", r, err)
		}
		_, err := c.RWLock("shared").TryAcquire(t.Context())
		if held, ok := errors.AsType[*sqllock.HeldError](err); !ok || held.Holder != "a" {
			t.Errorf("a writer, beside a reader: %v; want a *HeldError that names a", err)
		}
		if err := reader.Context().Err(); err != nil {
			t.Error("the reader lost its lock:", err)
		}
		mustRelease(t, reader)
		mustRelease(t, mustTry(t, c, "shared", locktest.Writer))
	})
}
