package sqllocktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// queueing is a lock with a holder and a waiter.
type queueing struct {
	*testing.T
	db       *sqllocktest.Dialect
	held     dialect.Request
	next     dialect.Request
	listener dialect.Listener
}

func newQueueing(t *testing.T) *queueing {
	q := &queueing{T: t, db: sqllocktest.New()}
	q.held = dialect.Request{Key: dialect.Key{Name: "lock"}, LeaseID: "holder", Owner: "first"}
	q.next = dialect.Request{Key: q.held.Key, LeaseID: "waiter", Owner: "second"}
	for _, id := range []string{"holder", "waiter"} {
		q.must(q.db.CreateLease(t.Context(), dialect.Lease{ID: id, TTL: time.Hour}))
	}
	_, err := q.db.Acquire(t.Context(), []dialect.Request{q.held})
	q.must(err)
	q.listener, err = q.db.OpenListener(t.Context(), "waiter")
	q.must(err)
	_, err = q.db.Enqueue(t.Context(), []dialect.Waiter{{Request: q.next, Channel: q.listener.Channel()}})
	q.must(err)
	return q
}

func (q *queueing) must(err error) {
	q.Helper()
	if err != nil {
		q.Fatal(err)
	}
}

func (q *queueing) release() {
	q.Helper()
	_, err := q.db.Release(q.Context(), []dialect.Claim{{Key: q.held.Key, Owner: q.held.Owner}})
	q.must(err)
	rows, err := q.db.Get(q.Context(), []dialect.Key{q.held.Key})
	q.must(err)
	if rows[0].Owner != q.next.Owner {
		q.Errorf("the row is %+v, want it handed over", rows[0])
	}
}

func TestLoseNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		q.db.LoseNotifications(1)
		q.release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if h, err := q.listener.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("received %+v, %v", h, err)
		}
	})
}

func TestCutListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		time.AfterFunc(time.Minute, q.db.CutListeners)
		start := time.Now()
		_, err := q.listener.Next(t.Context())
		if took := time.Since(start); err == nil || took != time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
		q.release()
		if _, err := q.listener.Next(t.Context()); err == nil {
			t.Error("received a notification on a connection that has ended")
		}
		_, err = q.db.OpenListener(t.Context(), "waiter")
		if err != nil || q.db.Calls(sqllocktest.OpOpenListener) != 2 {
			t.Errorf("opened again: %v, %d calls", err, q.db.Calls(sqllocktest.OpOpenListener))
		}
	})
}

// Next blocks for as long as the notification takes, and no longer.
func TestNotifiedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueueing(t)
		q.db.LoseReplies(sqllocktest.OpRelease, 1)
		time.AfterFunc(time.Minute, func() {
			_, err := q.db.Release(t.Context(), []dialect.Claim{{Key: q.held.Key, Owner: q.held.Owner}})
			if q.db.Classify(err) != dialect.ClassUnknown {
				t.Errorf("the reply isn't lost: %v", err)
			}
		})
		start := time.Now()
		h, err := q.listener.Next(t.Context())
		q.must(err)
		if took := time.Since(start); took != time.Minute || h.Owner != q.next.Owner || h.Fence == 0 {
			t.Errorf("received %+v after %s", h, took)
		}
	})
}
