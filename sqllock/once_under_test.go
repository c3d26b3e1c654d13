package sqllock_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// The work for a key has nothing to do with the lock of that name, whoever holds it, and so waits in no circle with it.
func TestOnceUnderItsNamesLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		once := func(what string, lock *sqllock.Lock) {
			t.Helper()
			_, err := c.Once(lock.Context(), "x", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil },
				sqllock.KeepOutcome(sqllock.MinKeep))
			wantErr(t, what, err, nil)
			mustRelease(t, lock)
			time.Sleep(2 * sqllock.MinKeep) // forgotten by then
		}
		once("alone", mustTry(t, c, "x"))
		once("reading", mustTry(t, c, "x", sqllock.Shared()))
		once("writing", mustTry(t, c, "x"))
	})
}
