package sqllock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A writer that waits for readers, and whose lease runs out meanwhile, doesn't write when they have left: another may have
// written since.
func TestWriterOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		mustTry(t, a, "book", sqllock.Shared())
		overtaken := waiter(t, b, "book")
		time.Sleep(500 * time.Millisecond)
		db.ExpireLeases()
		lock := mustTry(t, c, "book")
		synctest.Wait()
		time.Sleep(time.Second) // b's heartbeat is to come yet
		select {
		case late := <-overtaken:
			t.Errorf("b writes with fence %d while c does with %d", late.Fence(), lock.Fence())
			return
		default:
		}
		mustRelease(t, lock)
		if next := <-overtaken; next.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
		}
	})
}

// A grant whose last look at the others came back when its lease couldn't be relied on any more is none.
func TestSharedTooLate(t *testing.T) {
	for name, opts := range map[string][]sqllock.Option{"reader": {sqllock.Shared()}, "writer": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a := client(t, db, "a", func(o *sqllock.Options) { o.TTL = time.Second })
				mustRelease(t, mustTry(t, a, "book", sqllock.Shared()))
				db.FailNext(sqllocktest.OpRenewLeases, 1000, dialect.Transient)
				db.Delay(sqllocktest.OpLook, 2*time.Second)
				db.Delay(sqllocktest.OpList, 2*time.Second)
				if lock, err := a.TryAcquire(t.Context(), "book", opts...); err == nil && lock.Context().Err() != nil {
					t.Error("it was granted a lock that was over")
				}
			})
		})
	}
}

// Writers' fences are beyond those that the exclusive lock gave out before the name had readers, though these are ahead of the
// database's clock, as after many acquisitions in one tick of a coarse one.
func TestFencesGoOnWithReaders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		var last int64
		for range 100 {
			lock := mustTry(t, a, "book")
			last = lock.Fence()
			mustRelease(t, lock)
		}
		mustRelease(t, mustTry(t, a, "book", sqllock.Shared()))
		if writer := mustTry(t, a, "book"); writer.Fence() <= last {
			t.Errorf("the writer's fence is %d, and it was %d before", writer.Fence(), last)
		}
	})
}

// Readers who haven't the time to see a name made ready for them get it ready all the same.
func TestInviteOutlivesItsReader(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		db.Delay(sqllocktest.Any, 100*time.Millisecond)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
			lock, err := a.TryAcquire(ctx, "book", sqllock.Shared())
			cancel()
			if err == nil {
				mustRelease(t, lock)
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("none of ten readers got in")
	})
}
