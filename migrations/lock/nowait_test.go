package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// With NoWait the lock is taken or refused at once, and the error names the holder.
func TestNoWait(t *testing.T) {
	bubble(t, func(t *testing.T, _ *sqllocktest.Dialect, d dialect.Dialect, kind lock.Kind) {
		noWait := func(o *lock.Options) { o.NoWait = true }
		first := take(t, d, options("a", noWait))
		begun := time.Now()
		var calls int
		_, err := lock.Take(t.Context(), d, options("b", noWait, func(o *lock.Options) {
			o.Waiting = func(*sqllock.HeldError) { calls++ }
		}))
		timeout, ok := errors.AsType[*lock.TimeoutError](err)
		if !ok || timeout.Timeout != 0 || timeout.Held == nil || calls != 1 || time.Since(begun) > time.Second {
			t.Errorf("after %v, with %d calls of Waiting: %v", time.Since(begun), calls, err)
		} else if text := err.Error(); !strings.HasPrefix(text, "another process holds the migration lock: a") {
			t.Errorf("the error is %q", text)
		}
		release(t, first)
		release(t, take(t, d, options("b", noWait)))
	})
}

// missing reports once that the tables are missing, as after another process has dropped them.
type missing struct {
	dialect.Dialect
	gone    bool
	version uint // of the tables while they are gone: 0, or that of a cluster's node that lags behind
}

func (m *missing) Probe(ctx context.Context) (dialect.Server, error) {
	server, err := m.Dialect.Probe(ctx)
	if m.gone {
		server.Schema, server.Versioned = m.version, true
	}
	return server, err
}

// If the holder drops the tables while another process waits for a lease, the waiter creates them
// again, provided that it has Prepare. If they are still old after that, they are those of a node
// that has not applied it yet.
func TestTablesThatAreGone(t *testing.T) {
	for _, version := range []uint{0, sqllocktest.New().SchemaVersion() - 1} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { tablesAreGone(t, version) })
	}
}

func tablesAreGone(t *testing.T, version uint) {
	m := &missing{Dialect: leasesOnly{sqllocktest.New()}, gone: true, version: version}
	if _, err := lock.Take(t.Context(), m, options("a")); !errors.Is(err, sqllock.ErrSchema) {
		t.Errorf("without Prepare: %v; want ErrSchema", err)
	}
	prepared := 0
	release(t, take(t, m, options("a", func(o *lock.Options) {
		o.Prepare = func(context.Context) error {
			prepared++
			m.gone = prepared < 2
			return nil
		}
	})))
	if prepared != 2 {
		t.Errorf("prepared %d times, want 2", prepared)
	}
}
