package sqllock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Readers share the lock. A writer and readers exclude each other, whichever came first.
func TestShared(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		first, second := mustTry(t, a, "book", locktest.Shared), mustTry(t, b, "book", locktest.Shared)
		third := mustTry(t, b, "book", locktest.Shared)
		for range 2 {
			_, err := b.RWLock("book").TryAcquire(t.Context())
			held, ok := errors.AsType[*sqllock.HeldError](err)
			if !ok || !strings.Contains(held.Error(), "it has 3 readers") || held.Holder == "" {
				t.Errorf("the writer's error: %v", held)
			}
		}
		for _, lock := range []*sqllock.Lock{first, second, third} {
			mustRelease(t, lock)
		}
		writer := mustTry(t, b, "book", locktest.Writer)
		for _, c := range []*sqllock.Client{a, b} {
			_, err := c.RWLock("book").TryAcquireShared(t.Context())
			wantErr(t, "reading while b writes", err, sqllock.ErrNotAcquired)
			_, err = c.RWLock("book").TryAcquire(t.Context())
			wantErr(t, "writing while b writes", err, sqllock.ErrNotAcquired)
		}
		mustRelease(t, writer)
		if next := mustTry(t, a, "book", locktest.Writer); next.Fence() <= writer.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), writer.Fence())
		}
	})
}

// A reader waits for a writer.
func TestReaderWaitsForWriter(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "book", locktest.Writer)
		_, err := b.RWLock("book").TryAcquireShared(t.Context())
		wantErr(t, "reading", err, sqllock.ErrNotAcquired)
		reader, writer := waiter(t, b, "book", locktest.Shared), waiter(t, a, "book", locktest.Writer)
		mustRelease(t, lock)
		for range 2 {
			select {
			case got := <-reader:
				mustRelease(t, got)
			case next := <-writer:
				if next.Fence() <= lock.Fence() {
					t.Errorf("fence %d after %d", next.Fence(), lock.Fence())
				}
				mustRelease(t, next)
			}
		}
	})
}

// A writer that waits for readers keeps new ones out, learns whom it waits for, and gets the lock
// when they are gone.
func TestWriterDoesNotStarve(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		reader := mustTry(t, a, "book", locktest.Shared)
		var waitsFor atomic.Value
		onWait := sqllock.OnWait(func(e *sqllock.HeldError) { waitsFor.Store(e.Holder) })
		writer := waiter(t, b, "book", locktest.Writer, onWait)
		time.Sleep(time.Minute)
		_, err := c.RWLock("book").TryAcquireShared(t.Context())
		wantErr(t, "a new reader", err, sqllock.ErrNotAcquired)
		late := waiter(t, c, "book", locktest.Shared)
		start := time.Now()
		mustRelease(t, reader)
		lock := <-writer
		if d := time.Since(start); d > 200*time.Millisecond {
			t.Errorf("the writer came %s after the last reader left", d)
		}
		if waitsFor.Load() != "a" {
			t.Errorf("OnWait said that the writer waits for %v", waitsFor.Load())
		}
		mustRelease(t, lock)
		mustRelease(t, <-late)
		nobodyLeft(t, db, a, "book")
	})
}

// A dead reader, and a dead writer, keep others waiting until their leases have expired.
func TestSharedOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustTry(t, client(t, db, "a"), "book", locktest.Shared)
		mustTry(t, client(t, db, "a"), "other", locktest.Shared)
		db.ExpireAllLeases()
		b := client(t, db, "b")
		mustTry(t, b, "book", locktest.Writer)
		mustRelease(t, mustTry(t, b, "other", locktest.Writer))
		db.ExpireAllLeases()
		mustTry(t, client(t, db, "c"), "book", locktest.Shared)
	})
}

// A writer that gives up lets readers in again.
func TestWriterGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		reader := mustTry(t, a, "book", locktest.Shared)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := b.RWLock("book").Acquire(ctx)
		wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
		wantErr(t, "Acquire", err, context.DeadlineExceeded)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("gave up after %s", d)
		}
		synctest.Wait()
		mustRelease(t, mustTry(t, b, "book", locktest.Shared))
		mustRelease(t, reader)
		nobodyLeft(t, db, a, "book")
	})
}

// There are many readers and writers of several processes, some of which leave before their turn. A
// writer is always alone.
func TestSharedContention(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		clients := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c", pollOnly)}
		var readers, writers, most, reads, writes atomic.Int64
		var group sync.WaitGroup
		work := func(ctx context.Context, c *sqllock.Client) {
			if rand.N(4) > 0 {
				lock, err := c.RWLock("book").AcquireShared(ctx)
				if err != nil {
					return
				}
				most.Store(max(most.Load(), readers.Add(1)))
				reads.Add(1)
				time.Sleep(rand.N(10 * time.Millisecond))
				if n := writers.Load(); n > 0 {
					t.Errorf("%d write while one reads", n)
				}
				readers.Add(-1)
				mustRelease(t, lock)
				return
			}
			lock, err := c.RWLock("book").Acquire(ctx)
			if err != nil {
				return
			}
			writes.Add(1)
			if n := writers.Add(1); n > 1 {
				t.Errorf("%d write", n)
			}
			time.Sleep(rand.N(5 * time.Millisecond))
			if n := readers.Load(); n > 0 {
				t.Errorf("%d read while one writes", n)
			}
			writers.Add(-1)
			mustRelease(t, lock)
		}
		for i := range 60 {
			group.Go(func() {
				for range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*time.Second))
					work(ctx, clients[i%3])
					cancel()
				}
			})
		}
		group.Wait()
		if most.Load() < 2 || reads.Load() < 100 || writes.Load() < 50 {
			t.Errorf("%d reads, at most %d at once, and %d writes", reads.Load(), most.Load(), writes.Load())
		}
		nobodyLeft(t, db, clients[0], "book")
	})
}
