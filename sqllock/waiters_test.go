package sqllock_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Waiters lists all queues, page by page, and leaves out who is in a queue only so that deadlocks
// are found. Queue lists the same for each name.
func TestWaiters(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		lease := dialect.Lease{ID: "b", Holder: "holder b", TTL: time.Hour}
		if err := db.CreateLease(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		enqueue := func(name, holds string) {
			t.Helper()
			r := dialect.Request{Key: dialect.Key{Name: name}, LeaseID: lease.ID, Owner: name + holds, Note: "why"}
			if _, err := db.Enqueue(t.Context(), []dialect.Waiter{{Request: r, Holds: holds}}); err != nil {
				t.Fatal(err)
			}
		}
		var want []sqllock.Waiter
		for i := range 1001 {
			name := fmt.Sprint("lock ", i)
			enqueue(name, "")
			want = append(want, sqllock.Waiter{
				Name: name, Kind: sqllock.KindLock, Holder: lease.Holder, Note: "why", Since: time.Now().UTC(),
			})
			time.Sleep(time.Millisecond)
		}
		enqueue("lock 1", "a lock")
		var got []sqllock.Waiter
		for w, err := range a.Waiters(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, w)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d waiters, want %d; the first is %+v, want %+v", len(got), len(want), got[0], want[0])
		}
		if queue, err := a.Queue(t.Context(), "lock 7"); err != nil || !slices.Equal(queue, want[7:8]) {
			t.Errorf("Queue returns %+v, %v; want %+v", queue, err, want[7])
		}
		db.FailNext(sqllocktest.OpListWaiters, 1, dialect.ClassPermanent)
		for w, err := range a.Waiters(t.Context()) {
			if err == nil {
				t.Errorf("after an error: %+v", w)
			}
		}
	})
}

// A holder that is alive has had a heartbeat within a third of its TTL, and a dead one has none.
func TestHeartbeatOfHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a", func(o *sqllock.Options) { o.TTL = 9 * time.Second })
		mustTry(t, a, "living")
		abandon(t, db, "dead", 0, 0)
		time.Sleep(time.Second)
		for range 60 {
			time.Sleep(time.Second)
			i, err := a.Inspect(t.Context(), "living")
			if err != nil || i.Heartbeat > 4*time.Second || i.Heartbeat+i.Remaining != 9*time.Second {
				t.Fatalf("%+v, %v", i, err)
			}
		}
		if i, err := a.Inspect(t.Context(), "dead"); err != nil || i.State != sqllock.StateExpired || i.Heartbeat != 0 {
			t.Errorf("%+v, %v", i, err)
		}
	})
}
