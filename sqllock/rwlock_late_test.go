package sqllock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// A writer waits for readers, and its lease expires meanwhile. It doesn't write when they have
// left, because another writer may have written since.
func TestWriterTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		mustTry(t, a, "book", locktest.Shared)
		writer := waiter(t, b, "book", locktest.Writer)
		time.Sleep(500 * time.Millisecond)
		db.ExpireAllLeases()
		lock := mustTry(t, c, "book", locktest.Writer)
		synctest.Wait()
		time.Sleep(time.Second) // b's heartbeat is still to come
		select {
		case late := <-writer:
			t.Errorf("b writes with fence %d while c does with %d", late.Fence(), lock.Fence())
			return
		default:
		}
		mustRelease(t, lock)
		if next := <-writer; next.Fence() <= lock.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
		}
	})
}

// A grant does not count if the last check for the other side returned when the lease could no
// longer be relied on. The caller gets an error, in as long as one operation may take, and nothing
// stays behind that keeps others out.
func TestSharedTooLate(t *testing.T) {
	const ttl = time.Second // 899 ms of it can be relied on
	for name, kind := range map[string]struct {
		opts  []any
		looks sqllocktest.Op // the operation that checks for the other side
		want  error
		most  time.Duration
	}{
		// A reader tries again under a new lease, which doesn't last either.
		"reader": {[]any{locktest.Shared}, sqllocktest.OpGet, context.DeadlineExceeded, 5100 * time.Millisecond},
		"writer": {[]any{locktest.Writer}, sqllocktest.OpList, sqllock.ErrNotAcquired, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				a, b := client(t, db, "a", func(o *sqllock.Options) { o.TTL = ttl }), client(t, db, "b")
				mustRelease(t, mustTry(t, a, "book", locktest.Shared))
				db.FailNext(sqllocktest.OpRenewLeases, 1000, dialect.ClassTransient)
				db.Delay(kind.looks, 950*time.Millisecond)
				began := time.Now()
				lock, err := locktest.TryAcquire(t.Context(), a, "book", kind.opts...)
				if lock != nil {
					t.Errorf("it was granted a lock, of which it is known that it is over: %v", lock.Context().Err())
				}
				wantErr(t, "TryAcquire", err, kind.want)
				if took := time.Since(began); took > kind.most {
					t.Errorf("that took %s; want %s at most", took, kind.most)
				}
				db.Delay(kind.looks, 0)
				began = time.Now()
				next, err := b.RWLock("book").Acquire(t.Context())
				if took := time.Since(began); err != nil || took > ttl {
					t.Errorf("another has it after %s: %v; want %s at most, when the validity is over", took, err, ttl)
				}
				if next != nil {
					mustRelease(t, next)
				}
			})
		})
	}
}
