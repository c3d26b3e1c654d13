package once_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// The work for a key is independent of the lock of that name, no matter who holds it, and so is in
// no circle with it.
func TestOnceUnderItsNamesLock(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "a")
		does := func(what string, lock *sqllock.Lock) {
			t.Helper()
			nothing := func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil }
			_, err := once.Do(lock.Context(), c, "x", nothing, once.Keep(once.MinKeep))
			wantErr(t, what, err, nil)
			mustRelease(t, lock)
			time.Sleep(2 * once.MinKeep) // it is no longer remembered then
		}
		does("alone", mustTry(t, c, "x"))
		does("reading", mustTry(t, c, "x", locktest.Shared))
		does("writing", mustTry(t, c, "x", locktest.Writer))
	})
}
