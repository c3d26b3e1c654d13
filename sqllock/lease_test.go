package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/clock"
)

// TestExpiredLease: a process that was just resumed finds out by the clock, before any of its
// timers fires.
func TestExpiredLease(t *testing.T) {
	sent := clock.Now().Add(-2 * time.Second)
	l := &lease{
		c: &core{}, leaseKey: leaseKey{ttl: time.Second}, validity: clock.Validity{Sent: sent, TTL: time.Second},
		locks: make(map[*Lock]struct{}),
	}
	if l.addUser() {
		t.Error("a lease that can't be relied on was used for another acquisition")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	lock := &Lock{c: l.c, lease: l, cancel: cancel}
	lock.ctx = clock.Context{Context: ctx, Of: (*lockEnder)(lock)}
	if l.hold(lock) {
		t.Error("a grant that came when the lease had run out counted as one")
	}
	if err := lock.Guard(t.Context(), new(sql.Tx)); !errors.Is(err, ErrLost) {
		t.Errorf("Guard = %v; want ErrLost, without asking the database", err)
	}
	if err := lock.Release(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("Release = %v; want ErrLost", err)
	}
	if cause := context.Cause(lock.Context()); !errors.Is(cause, ErrLost) {
		t.Errorf("after Release the context's cause is %v; want ErrLost", cause)
	}
}
