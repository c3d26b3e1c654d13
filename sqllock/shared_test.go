package sqllock_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Readers share, and a writer and they exclude each other, whoever was first.
func TestShared(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		first, second := mustTry(t, a, "book", sqllock.Shared()), mustTry(t, b, "book", sqllock.Shared())
		third := mustTry(t, b, "book", sqllock.Shared())
		for range 2 {
			held := mustHeld(t, b, "book")
			if !strings.Contains(held.Error(), "3 read under it") || held.Holder == "" {
				t.Errorf("the writer is told: %v", held)
			}
		}
		for _, lock := range []*sqllock.Lock{first, second, third} {
			mustRelease(t, lock)
		}
		writer := mustTry(t, b, "book")
		for _, c := range []*sqllock.Client{a, b} {
			_, err := c.TryAcquire(t.Context(), "book", sqllock.Shared())
			wantErr(t, "reading while b writes", err, sqllock.ErrNotAcquired)
			_, err = c.TryAcquire(t.Context(), "book")
			wantErr(t, "writing while b writes", err, sqllock.ErrNotAcquired)
		}
		mustRelease(t, writer)
		if next := mustTry(t, a, "book"); next.Fence() <= writer.Fence() {
			t.Errorf("fence %d after %d", next.Fence(), writer.Fence())
		}
	})
}

// Who held the name before it had readers keeps it, and the first reader waits for him.
func TestSharedAfterExclusive(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "book")
		_, err := b.TryAcquire(t.Context(), "book", sqllock.Shared())
		wantErr(t, "reading", err, sqllock.ErrNotAcquired)
		reader, writer := waiter(t, b, "book", sqllock.Shared()), waiter(t, a, "book")
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

// A writer that waits for readers keeps new ones out, is told whom it waits for, and gets its turn when they are gone.
func TestWriterDoesNotStarve(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c")
		reader := mustTry(t, a, "book", sqllock.Shared())
		var told atomic.Value
		writer := waiter(t, b, "book", sqllock.OnWait(func(e *sqllock.HeldError) { told.Store(e.Holder) }))
		time.Sleep(time.Minute)
		_, err := c.TryAcquire(t.Context(), "book", sqllock.Shared())
		wantErr(t, "a new reader", err, sqllock.ErrNotAcquired)
		late := waiter(t, c, "book", sqllock.Shared())
		start := time.Now()
		mustRelease(t, reader)
		lock := <-writer
		if d := time.Since(start); d > 200*time.Millisecond {
			t.Errorf("the writer came %s after the last reader left", d)
		}
		if told.Load() != "a" {
			t.Errorf("the writer was told that it waits for %v", told.Load())
		}
		mustRelease(t, lock)
		mustRelease(t, <-late)
		nobodyLeft(t, db, a, "book")
	})
}

// A dead reader, and a dead writer, are in the others' way until their leases have run out.
func TestSharedOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		mustTry(t, client(t, db, "a"), "book", sqllock.Shared())
		mustTry(t, client(t, db, "a"), "other", sqllock.Shared())
		db.ExpireLeases()
		b := client(t, db, "b")
		mustTry(t, b, "book")
		mustRelease(t, mustTry(t, b, "other"))
		db.ExpireLeases()
		mustTry(t, client(t, db, "c"), "book", sqllock.Shared())
	})
}

// A writer that gives up lets the readers in again.
func TestWriterGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		reader := mustTry(t, a, "book", sqllock.Shared())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := b.Acquire(ctx, "book")
		wantErr(t, "Acquire", err, sqllock.ErrNotAcquired)
		wantErr(t, "Acquire", err, context.DeadlineExceeded)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("gave up after %s", d)
		}
		synctest.Wait()
		mustRelease(t, mustTry(t, b, "book", sqllock.Shared()))
		mustRelease(t, reader)
		nobodyLeft(t, db, a, "book")
	})
}

// Many readers and writers of several processes, some of which leave before it is their turn: a writer is alone.
func TestSharedCrowd(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		clients := []*sqllock.Client{client(t, db, "a"), client(t, db, "b"), client(t, db, "c", pollOnly)}
		var readers, writers, most, reads, writes atomic.Int64
		var group sync.WaitGroup
		work := func(ctx context.Context, c *sqllock.Client) {
			if rand.N(4) > 0 {
				lock, err := c.Acquire(ctx, "book", sqllock.Shared())
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
			lock, err := c.Acquire(ctx, "book")
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

func TestSharedRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		for what, opt := range map[string]sqllock.Option{
			"HoldAtLeast": sqllock.HoldAtLeast(time.Second), "LockDelay": sqllock.LockDelay(time.Second), "Permits": sqllock.Permits(3),
		} {
			_, err := a.TryAcquire(t.Context(), "book", sqllock.Shared(), opt)
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
		for range 8 { // until the last one can't be the exclusive lock
			mustTry(t, a, "pool", sqllock.Permits(8))
		}
		_, err := a.TryAcquire(t.Context(), "pool", sqllock.Shared())
		wantErr(t, "of a semaphore", err, sqllock.ErrInvalid)
	})
}
