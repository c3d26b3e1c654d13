package sqllock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// An error after the lock was lost isn't remembered, though fn hears of that before anybody else.
func TestLostFailureNotRemembered(t *testing.T) {
	remembered := 0
	for range 200 {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			c := client(t, db, "a")
			_, err := c.Once(t.Context(), "k", func(_ context.Context, lock *sqllock.Lock) ([]byte, error) {
				db.ExpireLeases()
				<-lock.Context().Done()
				return nil, errors.New("my lock was lost")
			}, sqllock.RememberFailure())
			if err == nil {
				t.Fatal("no error")
			}
			_, err = c.Once(t.Context(), "k", func(context.Context, *sqllock.Lock) ([]byte, error) { return nil, nil })
			if errors.Is(err, sqllock.ErrFailedBefore) {
				remembered++
			}
		})
	}
	if remembered > 0 {
		t.Errorf("%d of 200: the failure of one whose lock was lost is remembered for a day", remembered)
	}
}
