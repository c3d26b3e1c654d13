package sqllock_test

import (
	"context"
	"testing"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Locks of different kinds are independent: one name is held as each of them at the same time, and
// each is listed with its kind.
func TestKindsAreApart(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		held := map[sqllock.Kind]locktest.Held{
			sqllock.KindLock:      mustTry(t, a, "x"),
			sqllock.KindRWLock:    mustTry(t, a, "x", locktest.Writer),
			sqllock.KindSemaphore: mustTry(t, a, "x", locktest.Permits(1)),
			sqllock.KindSession:   mustTake(t, a, "x", locktest.Session),
		}
		e, err := election.New(a, "x")
		if err != nil {
			t.Fatal(err)
		}
		leads, err := e.Campaign(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		worked := false
		_, err = once.Do(t.Context(), a, "x", func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			worked = true
			holders, err := b.Holders(ctx, "x")
			kinds := make(map[sqllock.Kind]int)
			for _, h := range holders {
				kinds[h.Kind]++
			}
			for _, kind := range []sqllock.Kind{
				sqllock.KindLock, sqllock.KindRWLock, sqllock.KindSemaphore, sqllock.KindElection, sqllock.KindOnce,
			} {
				if kinds[kind] != 1 {
					t.Errorf("%d holders of kind %q: %+v", kinds[kind], kind, holders)
				}
			}
			return nil, err
		})
		if err != nil || !worked {
			t.Errorf("once.Do beside all the others: %v, worked: %t", err, worked)
		}
		all := [][]any{nil, {locktest.Writer}, {locktest.Shared}, {locktest.Permits(1)}, {locktest.Session}}
		for _, opts := range all {
			_, err := locktest.TryTake(t.Context(), b, "x", opts...)
			wantErr(t, "each is held", err, sqllock.ErrNotAcquired)
		}
		for kind, lock := range held {
			if lock, ok := lock.(*sqllock.Lock); ok && lock.Kind() != kind {
				t.Errorf("Kind of a %s: %q", kind, lock.Kind())
			}
			mustRelease(t, lock)
		}
		if err := leads.Resign(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
