package sqllock_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/internal/testkit"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A request that was sent in a batch and has no reply is released in the background for as long as
// the lease was known to last. If a heartbeat succeeds meanwhile and the lock is requested again,
// that is another acquisition.
func TestGrantedAfterReleaseInBackground(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		var silent atomic.Bool
		d := &testkit.Refusing{Dialect: db, Class: dialect.ClassUnknown, Refuse: func(op sqllocktest.Op) bool {
			return op == sqllocktest.OpAcquire && silent.Load()
		}}
		c := client(t, d, "a", func(o *sqllock.Options) { o.TTL = 300 * time.Millisecond })
		mustTry(t, c, "the lease is open")
		db.Delay(sqllocktest.OpAcquire, 20*time.Millisecond)
		go func() { _, _ = c.TryAcquire(t.Context(), "under way") }()
		time.Sleep(5 * time.Millisecond)
		got := make(chan *sqllock.Lock, 1)
		go func() {
			lock, err := c.TryAcquire(t.Context(), "x") // in the next batch
			if err != nil {
				t.Error(err)
			}
			got <- lock
		}()
		time.Sleep(time.Millisecond)
		silent.Store(true)
		time.Sleep(400 * time.Millisecond)
		silent.Store(false)
		lock := <-got
		time.Sleep(time.Second)
		if lock == nil || lock.Context().Err() != nil {
			t.Fatal("the lock wasn't had, or is over: this shows nothing")
		}
		mustHeld(t, client(t, db, "b"), "x")
	})
}
