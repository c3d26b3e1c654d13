package sqllock_test

import (
	"errors"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A Client that was made without a probe probes the database with its first lock, and only until
// that succeeds.
func TestUnprobed(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		db.Outage(true)
		c := client(t, db, "a", unprobed)
		if n := db.Calls(sqllocktest.Any); n != 0 {
			t.Errorf("New has asked the database %d times", n)
		}
		if lock, err := c.TryAcquire(t.Context(), "x"); err == nil || errors.Is(err, sqllock.ErrNotAcquired) {
			t.Errorf("TryAcquire during the outage: %v, %v", lock, err)
		}
		db.Outage(false)
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassNoSchema)
		_, err := c.TryAcquire(t.Context(), "x")
		wantErr(t, "TryAcquire without tables", err, sqllock.ErrSchema)
		before := db.Calls(sqllocktest.OpProbe)
		mustRelease(t, mustTry(t, c, "x"))
		mustRelease(t, mustTry(t, c, "x", sqllock.WithTTL(sqllock.MinTTL)))
		if n := db.Calls(sqllocktest.OpProbe) - before; n != 1 {
			t.Errorf("it was probed %d times", n)
		}
	})
}

func unprobed(o *sqllock.Options) { o.Unprobed = true }
