package election_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// HandOver waits out an outage, also at its start: a standby refuses PostgreSQL's get.sql.
func TestHandOverBeginsInFailover(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		term := mustLead(t, candidate(t, client(t, db, "leader")))
		go func() {
			select {
			case <-term.HandOverAsked():
			case <-term.Context().Done():
			}
			_ = term.Resign(context.Background())
		}()
		over := time.Now()
		d := &testkit.Refusing{Dialect: db, Class: dialect.ClassReadOnly, Refuse: func(op sqllocktest.Op) bool {
			return op == sqllocktest.OpGet && time.Now().Before(over)
		}}
		asker := candidate(t, client(t, d, "asker"))
		over = time.Now().Add(3 * time.Second)
		if err := asker.HandOver(t.Context()); err != nil {
			t.Error(err)
		}
		_ = term.Resign(t.Context())
	})
}

// A caller of HandOver asks again after a pause in the meantime.
func TestHandOverOnReplica(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		term := mustLead(t, candidate(t, client(t, db, "leader")))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var refusals atomic.Int32
		d := &testkit.Refusing{Dialect: db, Class: dialect.ClassReadOnly, Refuse: func(op sqllocktest.Op) bool {
			if op == sqllocktest.OpGet {
				return false
			}
			if refusals.Add(1) == 1000 {
				cancel() // all of that takes no time: a bubble's clock moves only when every goroutine waits
			}
			return true
		}}
		_ = candidate(t, client(t, d, "asker")).HandOver(ctx)
		if n := refusals.Load(); n == 0 || n > 100 {
			t.Errorf("asked %d times in 10s", n)
		}
		_ = term.Resign(t.Context())
	})
}

// Observe yields only errors that last for five seconds of retries.
func TestObserveInFailover(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		term := mustLead(t, candidate(t, client(t, db, "leader")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin, end := time.Now().Add(time.Minute), time.Now().Add(time.Minute+2*time.Second)
		d := &testkit.Refusing{Dialect: db, Class: dialect.ClassReadOnly, Refuse: func(op sqllocktest.Op) bool {
			return op == sqllocktest.OpGet && time.Now().After(begin) && time.Now().Before(end)
		}}
		seen := observe(ctx, candidate(t, client(t, d, "observer")))
		sees(t, seen, "leader")
		time.Sleep(time.Until(end))
		seesNothing(t, seen)
		_ = term.Resign(t.Context())
	})
}
