package sqllock_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// former is a database whose removals reach, while it is on, a server that was the primary until a
// moment ago: the row isn't there yet, so it reports that there is nothing to remove.
type former struct {
	*sqllocktest.Dialect
	on atomic.Bool
}

func (f *former) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if f.on.Load() {
		return make([]bool, len(claims)), nil
	}
	return f.Dialect.Release(ctx, claims)
}

func (f *former) Dequeue(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	if f.on.Load() {
		return make([]bool, len(claims)), nil
	}
	return f.Dialect.Dequeue(ctx, claims)
}

// TestFormerPrimaryFindsNothing: what wasn't there to be removed is removed again later, on the
// primary. Otherwise it would stay for as long as the process renews its lease.
func TestFormerPrimaryFindsNothing(t *testing.T) {
	for what, remove := range map[string]func(t *testing.T, db *former, c *sqllock.Client){
		"a release": func(t *testing.T, db *former, c *sqllock.Client) {
			lock := mustTry(t, c, "job")
			db.on.Store(true)
			wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
		},
		"a release whose first try was lost": func(t *testing.T, db *former, c *sqllock.Client) {
			lock := mustTry(t, c, "job")
			db.FailNext(sqllocktest.OpRelease, 1, dialect.ClassUnknown)
			time.AfterFunc(time.Millisecond, func() { db.on.Store(true) })
			mustRelease(t, lock) // it is taken for released, and isn't
		},
		"a reader's release": func(t *testing.T, db *former, c *sqllock.Client) {
			lock, err := c.RWLock("job").TryAcquireShared(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			db.on.Store(true)
			wantErr(t, "Release", lock.Release(t.Context()), sqllock.ErrLost)
		},
		"a waiter that leaves": func(t *testing.T, db *former, c *sqllock.Client) {
			lock := mustTry(t, client(t, db.Dialect, "another"), "job")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			time.AfterFunc(500*time.Millisecond, func() { db.on.Store(true) })
			_, err := c.Acquire(ctx, "job", sqllock.Fair())
			wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
			mustRelease(t, lock)
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, memory *sqllocktest.Dialect) {
				db := &former{Dialect: memory}
				a, b := client(t, db, "a"), client(t, memory, "b")
				mustTry(t, a, "another of its locks") // keeps the lease alive
				remove(t, db, a)
				time.Sleep(3 * time.Second)
				db.on.Store(false)
				ctx, cancel := context.WithTimeout(t.Context(), sqllock.DefaultTTL)
				defer cancel()
				lock, err := b.RWLock("job").Acquire(ctx)
				if err != nil {
					t.Fatal(err)
				}
				mustRelease(t, lock)
				if lock, err = b.Acquire(ctx, "job", sqllock.Fair()); err != nil {
					t.Fatal(err)
				}
				if queue, err := b.Queue(ctx, "job"); err != nil || len(queue) > 0 {
					t.Errorf("left in the queue: %+v, %v", queue, err)
				}
				mustRelease(t, lock)
			})
		})
	}
}
