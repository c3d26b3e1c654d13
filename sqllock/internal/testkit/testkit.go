// Package testkit has what the tests and examples of several packages share.
package testkit

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
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// Bubble runs f in a synctest bubble with an empty in-memory database. The end of the bubble shows
// that no goroutine was left behind.
func Bubble(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, sqllocktest.New()) })
}

// Client returns a quiet process of its own on db, which is closed with the test. It doesn't reap
// unless opts say so.
func Client(t *testing.T, db dialect.Dialect, holder string, opts ...func(*sqllock.Options)) *sqllock.Client {
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

// PollOnly makes a process poll instead of being notified.
func PollOnly(o *sqllock.Options) { o.PollOnly = true }

// MustTry takes a lock that is free.
func MustTry(t *testing.T, c *sqllock.Client, name string, opts ...any) *sqllock.Lock {
	t.Helper()
	lock, err := locktest.TryAcquire(t.Context(), c, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// MustTake is MustTry for any kind of lock, including session locks.
func MustTake(t *testing.T, c *sqllock.Client, name string, opts ...any) locktest.Held {
	t.Helper()
	lock, err := locktest.TryTake(t.Context(), c, name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// FenceOf returns the fence of a lock, or 0 for a session lock.
func FenceOf(lock locktest.Held) int64 {
	if lock, ok := lock.(*sqllock.Lock); ok {
		return lock.Fence()
	}
	return 0
}

// MustHeld returns who holds a lock that is held.
func MustHeld(t *testing.T, c *sqllock.Client, name string) *sqllock.HeldError {
	t.Helper()
	lock, err := c.TryAcquire(t.Context(), name)
	held, ok := errors.AsType[*sqllock.HeldError](err)
	if !ok || !errors.Is(err, sqllock.ErrNotAcquired) {
		t.Fatalf("TryAcquire(%q) = %v, %v; want a *HeldError", name, lock, err)
	}
	return held
}

// MustRelease releases a lock that is held.
func MustRelease(t *testing.T, lock locktest.Held) {
	t.Helper()
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// WantErr checks that err is want.
func WantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v; want %v", what, err, want)
	}
}

// EndsWithin waits for the end of the lock's context and checks when and why it ended.
func EndsWithin(t *testing.T, lock locktest.Held, from, to time.Duration, cause error) {
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
	WantErr(t, "cause", context.Cause(lock.Context()), cause)
}
