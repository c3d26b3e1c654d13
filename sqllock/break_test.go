package sqllock_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
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
		if got := look(); got.State != sqllock.StateFree || got.Name != "job" || got.Fence != 0 {
			t.Errorf("never taken: %+v", got)
		}
		lock := mustTry(t, a, "job", sqllock.WithNote("build 7"))
		got := look()
		if got.State != sqllock.StateHeld || got.Holder != "a" || got.Note != "build 7" || got.Fence != lock.Fence() {
			t.Errorf("held: %+v", got)
		}
		mustRelease(t, lock)
		if got := look(); got.State != sqllock.StateFree || got.Fence != lock.Fence() {
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
		mustHeld(t, b, "cron") // still barred
	})
}

func TestBreak(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock, other := mustTry(t, a, "job", sqllock.LockDelay(time.Hour)), mustTry(t, a, "other")
		info, err := b.Break(t.Context(), "job", lock.Fence())
		if err != nil || info.Holder != "a" || info.Fence != lock.Fence() || info.State != sqllock.StateHeld {
			t.Fatalf("%+v, %v", info, err)
		}
		if lock.Context().Err() != nil {
			t.Error("the holder's context ended by itself: the documentation says that it doesn't")
		}
		wantErr(t, "the holder's Guard", lock.Guard(t.Context(), nil), sqllock.ErrLost)
		wantErr(t, "then its context's cause", context.Cause(lock.Context()), sqllock.ErrLost)
		nextHolder := mustTry(t, b, "job")
		wantErr(t, "the holder's Release", lock.Release(t.Context()), sqllock.ErrLost)
		mustHeld(t, a, "job")

		if err := other.Guard(t.Context(), nil); err != nil {
			t.Errorf("another lock of that holder: %v", err)
		}
		// The acquisition that was inspected is over, and its fence breaks no other.
		_, err = b.Break(t.Context(), "job", lock.Fence())
		wantErr(t, "another holder by now", err, sqllock.ErrNotHeld)
		if err := nextHolder.Guard(t.Context(), nil); err != nil {
			t.Errorf("the next holder: %v", err)
		}
		mustRelease(t, nextHolder)
		_, err = b.Break(t.Context(), "job", nextHolder.Fence())
		wantErr(t, "a lock that nobody holds", err, sqllock.ErrNotHeld)
	})
}

// Breaks returns what was broken, by whom and why.
func TestBreaks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		breaks := func(name string) []sqllock.Break {
			t.Helper()
			found, err := b.Breaks(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		if got := breaks("job"); len(got) != 0 {
			t.Errorf("before any break: %+v", got)
		}
		lock, before := mustTry(t, a, "job", sqllock.WithNote("build 7")), time.Now()
		time.Sleep(time.Second)
		reason := sqllock.WithReason("its host is gone")
		if _, err := b.Break(t.Context(), "job", lock.Fence(), sqllock.BrokenBy("ann"), reason); err != nil {
			t.Fatal(err)
		}
		want := sqllock.Break{
			Name: "job", Kind: sqllock.KindLock, Holder: "a", Note: "build 7", Fence: lock.Fence(),
			Since: before.Round(0).UTC(), At: before.Add(time.Second).Round(0).UTC(), By: "ann", From: "b",
			Reason: "its host is gone",
		}
		if got := breaks("job"); len(got) != 1 || got[0] != want {
			t.Errorf("recorded is %+v, want %+v", got, want)
		}
		_, err := b.Break(t.Context(), "job", lock.Fence(), reason)
		wantErr(t, "broken a second time", err, sqllock.ErrNotHeld)
		time.Sleep(time.Second)
		for kind, option := range map[sqllock.Kind]locktest.Kind{
			sqllock.KindRWLock: locktest.Shared, sqllock.KindSemaphore: locktest.Permits(1),
		} {
			if _, err := b.Break(t.Context(), "job", mustTry(t, a, "job", option).Fence()); err != nil {
				t.Fatal(err)
			}
			got := breaks("job")[0]
			if got.Kind != kind || got.Shared != (kind == sqllock.KindRWLock) || got.Permit != 0 || got.By != "" {
				t.Errorf("the last one is %+v, want a %s", got, kind)
			}
			time.Sleep(time.Second)
		}
		if got := breaks("job"); len(got) != 3 || got[2] != want {
			t.Errorf("the first of three is %+v", got)
		}
		if got := breaks("other"); len(got) != 0 {
			t.Errorf("of another name: %+v", got)
		}
		_, err = b.Breaks(t.Context(), "")
		wantErr(t, "empty name", err, sqllock.ErrInvalid)
	})
}

// What can't be recorded is refused, and nothing is broken then.
func TestBreakInvalid(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a")
		lock := mustTry(t, a, "job")
		for what, option := range map[string]sqllock.BreakOption{
			"a long reason":   sqllock.WithReason(strings.Repeat("x", sqllock.MaxReasonBytes+1)),
			"two lines":       sqllock.WithReason("a\nb"),
			"no UTF-8":        sqllock.WithReason("\xff"),
			"a long user":     sqllock.BrokenBy(strings.Repeat("x", sqllock.MaxNameBytes+1)),
			"a nil option":    nil,
			"a user in lines": sqllock.BrokenBy("a\nb"),
		} {
			_, err := a.Break(t.Context(), "job", lock.Fence(), option)
			wantErr(t, what, err, sqllock.ErrInvalid)
		}
		if err := lock.Guard(t.Context(), nil); err != nil || db.Calls(sqllocktest.OpBreak) != 0 {
			t.Errorf("the holder: %v", err)
		}
		longest := sqllock.WithReason(strings.Repeat("x", sqllock.MaxReasonBytes))
		if _, err := a.Break(t.Context(), "job", lock.Fence(), longest); err != nil {
			t.Error(err)
		}
	})
}

// The reaper removes a record when it is 90 days old.
func TestReapBreaks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a", func(o *sqllock.Options) { o.ReapEvery = -1 })
		reap := func(want int) {
			t.Helper()
			if did, err := a.Reap(t.Context()); err != nil || did.Breaks != want {
				t.Errorf("reaped %+v, %v; want %d breaks", did, err, want)
			}
		}
		const n = 501 // more than one statement deletes
		for range n {
			if _, err := a.Break(t.Context(), "job", mustTry(t, a, "job").Fence()); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Breaks(t.Context(), "job"); err != nil || len(got) != 100 {
			t.Errorf("%d breaks are listed, %v", len(got), err)
		}
		db.Advance(90 * 24 * time.Hour)
		reap(0)
		time.Sleep(time.Second)
		reap(n)
		reap(0)
	})
}

// changing is a database in which the lock changes hands right after it was read.
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
		var nextHolder *sqllock.Lock
		b := client(t, changing{db, func() {
			mustRelease(t, lock)
			nextHolder = mustTry(t, a, "job")
		}}, "b")
		_, err := b.Break(t.Context(), "job", lock.Fence())
		wantErr(t, "changed hands meanwhile", err, sqllock.ErrNotHeld)
		if err := nextHolder.Guard(t.Context(), nil); err != nil {
			t.Errorf("the next holder: %v", err)
		}
	})
}

// A holder whose lease has expired is broken too, and so is one where the first reply is lost.
func TestBreakDeadHolder(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		lock := mustTry(t, a, "job")
		db.ExpireAllLeases()
		db.LoseReplies(sqllocktest.OpBreak, 1)
		info, err := b.Break(t.Context(), "job", lock.Fence())
		if err != nil || info.State != sqllock.StateExpired {
			t.Fatalf("%+v, %v", info, err)
		}
		mustRelease(t, mustTry(t, b, "job"))
		db.FailNext(sqllocktest.OpList, 1, dialect.ClassPermanent)
		if _, err := b.Break(t.Context(), "job", 1); err == nil || errors.Is(err, sqllock.ErrNotHeld) {
			t.Errorf("the database fails: %v", err)
		}
	})
}

// OnWait is called once for each holder, not once for each poll.
func TestOnWait(t *testing.T) {
	for _, kind := range [][]any{nil, {locktest.Session}} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			a, b := client(t, db, "a"), client(t, db, "b")
			c := client(t, db, "c", pollOnly) // a waiter that polls may be passed ahead of
			first := mustTake(t, a, "job", kind...)
			var holders []string
			reported := make(chan *sqllock.HeldError, 1)
			done := make(chan error, 1)
			go func() {
				onWait := sqllock.OnWait(func(held *sqllock.HeldError) {
					holders = append(holders, held.Holder)
					if held.Since.IsZero() != (kind != nil) || held.Connected.IsZero() != (kind == nil) {
						t.Errorf("since %v, connected %v", held.Since, held.Connected)
					}
					reported <- held
				})
				lock, err := locktest.Take(t.Context(), c, "job", append(kind, onWait)...)
				if err == nil {
					err = lock.Release(t.Context())
				}
				done <- err
			}()
			if held := <-reported; held.Holder != "a" || held.Fence != fenceOf(first) {
				t.Errorf("%+v", held)
			}
			time.Sleep(time.Minute) // many polls
			mustRelease(t, first)
			second := mustTake(t, b, "job", kind...)
			<-reported
			mustRelease(t, second)
			if err := <-done; err != nil || !slices.Equal(holders, []string{"a", "b"}) {
				t.Errorf("%v; OnWait was called for %q", err, holders)
			}
		})
	}
}

// All holders of a name are listed, and each can be broken by its fence.
func TestHolders(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		var readers []*sqllock.Lock
		for range 3 {
			readers = append(readers, mustTry(t, a, "book", locktest.Shared))
			time.Sleep(time.Millisecond) // the next one has another fence
			mustTry(t, a, "pool", locktest.Permits(5))
			time.Sleep(time.Millisecond)
		}
		for name, shared := range map[string]bool{"book": true, "pool": false} {
			holders, err := b.Holders(t.Context(), name)
			if err != nil || len(holders) != 3 {
				t.Fatalf("%s: %+v, %v", name, holders, err)
			}
			for i, h := range holders {
				if h.Shared != shared || h.Holder != "a" || h.State != sqllock.StateHeld ||
					shared && h.Permit != 0 || h.Permit >= 5 {
					t.Errorf("%s, holder %d: %+v", name, i, h)
				}
			}
		}
		only, err := b.RWLock("book").Holders(t.Context())
		if err != nil || len(only) != 3 || only[0].Kind != sqllock.KindRWLock || !only[0].Shared {
			t.Errorf("Holders of the RWLock: %+v, %v", only, err)
		}
		only, err = b.Semaphore("pool", 5).Holders(t.Context())
		if err != nil || len(only) != 3 || only[0].Kind != sqllock.KindSemaphore {
			t.Errorf("Holders of the Semaphore: %+v, %v", only, err)
		}
		if _, err := b.Break(t.Context(), "book", readers[1].Fence()); err != nil {
			t.Error(err)
		}
		wantErr(t, "the broken reader", readers[1].Release(t.Context()), sqllock.ErrLost)
		mustRelease(t, readers[0])
		mustRelease(t, readers[2])
		writer := mustTry(t, b, "book", locktest.Writer)
		only, err = a.RWLock("book").Holders(t.Context())
		if err != nil || len(only) != 1 || only[0].Fence != writer.Fence() || only[0].Shared {
			t.Errorf("Holders of the RWLock: %+v, %v", only, err)
		}
		mustRelease(t, writer)
		for info, err := range a.AllLocks(t.Context()) {
			if err != nil || info.State == sqllock.StateBarred {
				t.Errorf("a lock is listed as barred: %+v, %v", info, err)
			}
		}
	})
}
