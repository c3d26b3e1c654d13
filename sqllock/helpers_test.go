package sqllock_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// bubble runs f in a synctest bubble with an empty in-memory database. That the bubble ends shows that no
// goroutine was left behind.
func bubble(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, sqllocktest.New()) })
}

// client is a quiet process of its own on db, closed with the test. It doesn't reap unless opts say so.
func client(t *testing.T, db dialect.Dialect, holder string, opts ...func(*sqllock.Options)) *sqllock.Client {
	t.Helper()
	o := &sqllock.Options{Holder: holder, ReapEvery: -1, Logger: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(o)
	}
	c, err := sqllock.New(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error("Close:", err)
		}
	})
	return c
}

// pollOnly is a process that no hand-over is told to.
func pollOnly(o *sqllock.Options) { o.PollOnly = true }

func mustTry(t *testing.T, c *sqllock.Client, name string, opts ...sqllock.Option) *sqllock.Lock {
	t.Helper()
	lock, err := c.TryAcquire(t.Context(), name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func mustHeld(t *testing.T, c *sqllock.Client, name string) *sqllock.HeldError {
	t.Helper()
	lock, err := c.TryAcquire(t.Context(), name)
	held, ok := errors.AsType[*sqllock.HeldError](err)
	if !ok || !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Fatalf("TryAcquire(%q) = %v, %v; want a *HeldError", name, lock, err)
	}
	return held
}

func mustRelease(t *testing.T, lock *sqllock.Lock) {
	t.Helper()
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v; want %v", what, err, want)
	}
}

// endsWithin waits for the end of the lock's context and checks when and why it came.
func endsWithin(t *testing.T, lock *sqllock.Lock, from, to time.Duration, cause error) {
	t.Helper()
	start := time.Now()
	select {
	case <-lock.Context().Done():
	case <-time.After(to):
		t.Fatalf("lock %q: its context has not ended after %s", lock.Name(), to)
	}
	if d := time.Since(start); d < from {
		t.Errorf("lock %q: its context ended after %s; want not before %s", lock.Name(), d, from)
	}
	wantErr(t, "cause", context.Cause(lock.Context()), cause)
}
