package sqllock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

func TestInspect(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		look := func() sqllock.Info {
			t.Helper()
			info, err := b.Inspect(t.Context(), "job")
			if err != nil {
				t.Fatal(err)
			}
			return info
		}
		if got := look(); got.State != sqllock.Free || got.Name != "job" || got.Fence != 0 {
			t.Errorf("never taken: %+v", got)
		}
		lock := mustTry(t, a, "job", sqllock.WithNote("build 7"))
		if got := look(); got.State != sqllock.Held || got.Holder != "a" || got.Note != "build 7" || got.Fence != lock.Fence() {
			t.Errorf("held: %+v", got)
		}
		mustRelease(t, lock)
		if got := look(); got.State != sqllock.Free || got.Fence != lock.Fence() {
			t.Errorf("released: %+v", got)
		}
		_, err := b.Inspect(t.Context(), "")
		wantErr(t, "empty name", err, sqllock.ErrInvalid)
		blind := client(t, db, "c", func(o *sqllock.Options) { o.WithoutTables = true })
		_, err = blind.Inspect(t.Context(), "job")
		wantErr(t, "without tables", err, sqllock.ErrUnsupported)
		for _, err := range blind.AllLocks(t.Context()) {
			wantErr(t, "a list without tables", err, sqllock.ErrUnsupported)
		}
		barred := mustTry(t, a, "cron", sqllock.HoldAtLeast(time.Hour))
		_, err = b.Break(t.Context(), "cron", barred.Fence())
		wantErr(t, "broken", err, nil)
		mustHeld(t, b, "cron") // barred yet
	})
}

func TestBreak(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock, other := mustTry(t, a, "job", sqllock.LockDelay(time.Hour)), mustTry(t, a, "other")
		info, err := b.Break(t.Context(), "job", lock.Fence())
		if err != nil || info.Holder != "a" || info.Fence != lock.Fence() || info.State != sqllock.Held {
			t.Fatalf("%+v, %v", info, err)
		}
		if lock.Context().Err() != nil {
			t.Error("the holder's context ended by itself: the documentation says that it doesn't")
		}
		wantErr(t, "the holder's Guard", lock.Guard(t.Context(), nil), sqllock.ErrLost)
		wantErr(t, "then its context's cause", context.Cause(lock.Context()), sqllock.ErrLost)
		heir := mustTry(t, b, "job")
		wantErr(t, "the holder's Release", lock.Release(t.Context()), sqllock.ErrLost)
		mustHeld(t, a, "job")

		if err := other.Guard(t.Context(), nil); err != nil {
			t.Errorf("another lock of that holder: %v", err)
		}
		// The one that was looked at is over: its fence breaks nobody else.
		_, err = b.Break(t.Context(), "job", lock.Fence())
		wantErr(t, "another holder by now", err, sqllock.ErrNotHeld)
		if err := heir.Guard(t.Context(), nil); err != nil {
			t.Errorf("the next holder: %v", err)
		}
		mustRelease(t, heir)
		_, err = b.Break(t.Context(), "job", heir.Fence())
		wantErr(t, "nobody's", err, sqllock.ErrNotHeld)
	})
}

// changing is a database in which the lock changes hands right after somebody has looked at it.
type changing struct {
	*sqllocktest.Dialect
	change func()
}

func (d changing) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := d.Dialect.List(ctx, after, heldOnly, limit)
	d.change()
	return rows, err
}

func TestBreakComesTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		lock := mustTry(t, a, "job")
		var heir *sqllock.Lock
		b := client(t, changing{db, func() {
			mustRelease(t, lock)
			heir = mustTry(t, a, "job")
		}}, "b")
		_, err := b.Break(t.Context(), "job", lock.Fence())
		wantErr(t, "changed hands meanwhile", err, sqllock.ErrNotHeld)
		if err := heir.Guard(t.Context(), nil); err != nil {
			t.Errorf("the next holder: %v", err)
		}
	})
}

// A holder that is dead by its lease is broken too, and so is one where the first reply is lost.
func TestBreakDeadHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		db.ExpireLeases()
		db.LoseReplies(sqllocktest.OpRelease, 1)
		info, err := b.Break(t.Context(), "job", lock.Fence())
		if err != nil || info.State != sqllock.Expired {
			t.Fatalf("%+v, %v", info, err)
		}
		mustRelease(t, mustTry(t, b, "job"))
		db.FailNext(sqllocktest.OpList, 1, dialect.Permanent)
		if _, err := b.Break(t.Context(), "job", 1); err == nil || errors.Is(err, sqllock.ErrNotHeld) {
			t.Errorf("the database fails: %v", err)
		}
	})
}

// A waiter says for whom it waits: once a holder, not once a poll.
func TestOnWait(t *testing.T) {
	for _, kind := range [][]sqllock.Option{nil, {sqllock.Session()}} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			a, b, c := client(t, db, "a"), client(t, db, "b"), client(t, db, "c", pollOnly) // who polls may be overtaken
			first := mustTry(t, a, "job", kind...)
			var heard []string
			told := make(chan *sqllock.HeldError, 1)
			done := make(chan error, 1)
			go func() {
				lock, err := c.Acquire(t.Context(), "job", append(kind, sqllock.OnWait(func(held *sqllock.HeldError) {
					heard = append(heard, held.Holder)
					if held.Since.IsZero() != (kind != nil) || held.Connected.IsZero() != (kind == nil) {
						t.Errorf("since %v, connected %v", held.Since, held.Connected)
					}
					told <- held
				}))...)
				if err == nil {
					err = lock.Release(t.Context())
				}
				done <- err
			}()
			if held := <-told; held.Holder != "a" || held.Fence != first.Fence() {
				t.Errorf("%+v", held)
			}
			time.Sleep(time.Minute) // many polls
			mustRelease(t, first)
			second := mustTry(t, b, "job", kind...)
			<-told
			mustRelease(t, second)
			if err := <-done; err != nil || !slices.Equal(heard, []string{"a", "b"}) {
				t.Errorf("%v; heard of %q", err, heard)
			}
		})
	}
}

// All who hold a name are shown, and each can be sent away by his fence.
func TestHolders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		var readers []*sqllock.Lock
		for range 3 {
			readers = append(readers, mustTry(t, a, "book", sqllock.Shared()))
			time.Sleep(time.Millisecond) // the next one has another fence
			mustTry(t, a, "pool", sqllock.Permits(5))
			time.Sleep(time.Millisecond)
		}
		for name, shared := range map[string]bool{"book": true, "pool": false} {
			holders, err := b.Holders(t.Context(), name)
			if err != nil || len(holders) != 3 {
				t.Fatalf("%s: %+v, %v", name, holders, err)
			}
			for i, h := range holders {
				if h.Shared != shared || h.Holder != "a" || h.State != sqllock.Held || shared && h.Slot != 0 || h.Slot >= 5 {
					t.Errorf("%s, holder %d: %+v", name, i, h)
				}
			}
		}
		info, err := b.Inspect(t.Context(), "book")
		if err != nil || info.State != sqllock.Held || !info.Shared {
			t.Errorf("Inspect: %+v, %v", info, err)
		}
		if _, err := b.Break(t.Context(), "book", readers[1].Fence()); err != nil {
			t.Error(err)
		}
		wantErr(t, "the broken reader", readers[1].Release(t.Context()), sqllock.ErrLost)
		mustRelease(t, readers[0])
		mustRelease(t, readers[2])
		writer := mustTry(t, b, "book")
		info, err = a.Inspect(t.Context(), "book")
		if err != nil || info.Fence != writer.Fence() || info.Shared || info.Slot != 0 {
			t.Errorf("Inspect: %+v, %v", info, err)
		}
		mustRelease(t, writer)
		for info, err := range a.AllLocks(t.Context()) {
			if err != nil || info.State == sqllock.Barred {
				t.Errorf("a sign is listed as a lock: %+v, %v", info, err)
			}
		}
	})
}
