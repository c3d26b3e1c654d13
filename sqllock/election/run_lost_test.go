package election_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A fn that always resigns at its end doesn't end Run if the term was lost.
func TestRunLostAndResigned(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var terms atomic.Int32
		done := runs(ctx, candidate(t, client(t, db, "one")), func(ctx context.Context, term *election.Term) error {
			terms.Add(1)
			defer func() { _ = term.Resign(context.WithoutCancel(ctx)) }()
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Second)
		db.ExpireAllLeases()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Errorf("the term was lost, and Run ended: %v", err)
		default:
		}
		if n := terms.Load(); n != 2 {
			t.Errorf("%d terms", n)
		}
		cancel()
		time.Sleep(time.Minute)
	})
}
