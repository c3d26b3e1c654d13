package sqllock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// stale is a database whose reads show every lease as expired, as those of a replica that lags
// behind.
type stale struct{ *sqllocktest.Dialect }

func (s stale) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	rows, err := s.Dialect.Get(ctx, keys)
	return expired(rows), err
}

func (s stale) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := s.Dialect.List(ctx, after, heldOnly, limit)
	return expired(rows), err
}

func expired(rows []dialect.Row) []dialect.Row {
	for i := range rows {
		rows[i].Lease, rows[i].Remaining = dialect.LeaseExpired, -time.Second
	}
	return rows
}

// TestReadsDecideNothing: whatever a read shows, a live holder keeps its lock.
func TestReadsDecideNothing(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, stale{db}, "b")
		lock := mustTry(t, a, "job")
		if held := mustHeld(t, b, "job"); held.Holder != "a" || held.Remaining != sqllock.DefaultTTL {
			t.Errorf("HeldError = %+v", held)
		}
		if r, err := b.Reap(t.Context()); err != nil || r != (sqllock.Reaped{}) {
			t.Errorf("Reap = %+v, %v; want nothing", r, err)
		}
		mustRelease(t, lock)
	})
}

// late is a database that the first acquire request reaches late: its caller sees the connection
// cut.
type late struct {
	*sqllocktest.Dialect
	by   time.Duration
	sent atomic.Bool
}

func (l *late) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if l.sent.Swap(true) {
		return l.Dialect.Acquire(ctx, requests)
	}
	go func() {
		time.Sleep(l.by)
		_, _ = l.Dialect.Acquire(context.WithoutCancel(ctx), requests)
	}()
	return nil, &sqllocktest.Error{Class: dialect.ClassUnknown, Reason: "connection cut"}
}

// TestRequestArrivesAfterTheRelease: the request is sent again, granted and released before the
// first one arrives.
func TestRequestArrivesAfterTheRelease(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, &late{Dialect: db, by: 10 * time.Second}, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		mustTry(t, a, "other") // keeps the lease alive
		mustRelease(t, lock)
		time.Sleep(20 * time.Second)
		mustTry(t, b, "job")
	})
}

// TestRequestIsCarriedOutTwice: no try has a reply, one is carried out and released again, and then
// the first one arrives.
func TestRequestIsCarriedOutTwice(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		way := &late{Dialect: db, by: 10 * time.Second}
		way.sent.Store(true)
		a := client(t, way, "a")
		mustTry(t, a, "other") // keeps the lease alive
		way.sent.Store(false)
		db.LoseReplies(sqllocktest.OpAcquire, 1000)
		if _, err := a.TryAcquire(t.Context(), "job"); err == nil {
			t.Error("acquired without an answer")
		}
		time.Sleep(20 * time.Second)
		for info, err := range a.Locks(t.Context()) {
			if err != nil || info.Name != "other" {
				t.Errorf("left behind: %+v, %v", info, err)
			}
		}
	})
}

// frozen is a database whose first grant reaches a process that has lost its lease meanwhile.
type frozen struct {
	*sqllocktest.Dialect
	thawed atomic.Bool
}

func (f *frozen) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	grants, err := f.Dialect.Acquire(ctx, requests)
	if !f.thawed.Swap(true) {
		f.ExpireAllLeases()
		time.Sleep(sqllock.DefaultTTL)
	}
	return grants, err
}

// TestGrantCameTooLate: the grant does not count. A caller that waits goes on waiting, and one that
// doesn't gets an error.
func TestGrantCameTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock, err := client(t, &frozen{Dialect: db}, "a").Acquire(t.Context(), "job")
		if err != nil {
			t.Fatal(err)
		}
		mustRelease(t, lock)
		_, err = client(t, &frozen{Dialect: db}, "b").TryAcquire(t.Context(), "job")
		wantErr(t, "TryAcquire", err, sqllock.ErrNotAcquired)
		mustTry(t, client(t, db, "c"), "job")
	})
}

// TestTrustCountsFromBeforeTheHeartbeat: the validity counts from when a heartbeat was sent, and
// not from its reply.
func TestTrustCountsFromBeforeTheHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		lock := mustTry(t, client(t, db, "a"), "job", sqllock.WithTTL(9*time.Second))
		db.Delay(sqllocktest.OpRenewLeases, 2*time.Second)
		time.Sleep(5*time.Second + time.Millisecond) // sent after 3 s, answered after 5
		db.Outage(true)
		endsWithin(t, lock, 6*time.Second, 7*time.Second, sqllock.ErrLost)
		db.Outage(false)
	})
}

// If a lease or a connection can't be opened in time, each caller that needs it gets an error that
// says so.
func TestOpeningTakesTooLong(t *testing.T) {
	for op, opts := range map[sqllocktest.Op][]any{
		sqllocktest.OpCreateLease: nil, sqllocktest.OpOpenSession: {locktest.Session},
	} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			for range 8 { // events at the same moment come in any order
				c := client(t, db, "a")
				db.Delay(op, time.Minute)
				var group sync.WaitGroup
				var which atomic.Bool // whether any error named it
				for range 2 {
					group.Go(func() {
						_, err := locktest.TryTake(t.Context(), c, "job", opts...)
						if !errors.Is(err, context.DeadlineExceeded) ||
							!strings.Contains(err.Error(), "no answer from the database in time") {
							t.Errorf("%s: %v", op, err)
						}
						if err != nil && strings.Contains(err.Error(), "opening a ") {
							which.Store(true)
						}
					})
				}
				group.Wait()
				db.Delay(op, 0)
				if !which.Load() {
					t.Errorf("%s: no error says that it was this", op)
				}
			}
		})
	}
}
