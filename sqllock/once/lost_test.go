package once_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// An error after the lock was lost isn't remembered, even if fn notices the loss before anybody
// else.
func TestLostFailureNotRemembered(t *testing.T) {
	remembered := 0
	for range 200 {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			c := client(t, db, "a")
			_, err := once.Do(t.Context(), c, "k", func(_ context.Context, lock *sqllock.Lock) ([]byte, error) {
				db.ExpireAllLeases()
				<-lock.Context().Done()
				return nil, errors.New("my lock was lost")
			}, once.RememberFailure())
			if err == nil {
				t.Fatal("no error")
			}
			_, err = once.Do(t.Context(), c, "k", func(context.Context, *sqllock.Lock) ([]byte, error) {
				return nil, nil
			})
			if errors.Is(err, once.ErrFailedBefore) {
				remembered++
			}
		})
	}
	if remembered > 0 {
		t.Errorf("%d of 200: the failure of one whose lock was lost is remembered for a day", remembered)
	}
}
