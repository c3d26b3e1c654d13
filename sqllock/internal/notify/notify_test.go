package notify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/store"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// bubble runs f with a Listener on a database in memory, and with its log.
func bubble(t *testing.T, f func(t *testing.T, db *sqllocktest.Dialect, l *Listener, log *strings.Builder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db, log := sqllocktest.New(), &strings.Builder{}
		s := store.New(db)
		s.Start(t.Context())
		f(t, db, New(s, "test", slog.New(slog.NewTextHandler(log, nil))), log)
		s.Shut()
		s.Wait(t.Context())
	})
}

func subscribe(t *testing.T, l *Listener, owner string) *Subscription {
	t.Helper()
	return l.Subscribe(t.Context(), owner, make(chan dialect.Handover, 1))
}

// All waiters share one connection. It outlives the last one for a while, and is then closed.
func TestOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, l *Listener, _ *strings.Builder) {
		first, second := subscribe(t, l, "first"), subscribe(t, l, "second")
		if !first.Active() || first.Channel() != second.Channel() {
			t.Errorf("the channels are %q and %q", first.Channel(), second.Channel())
		}
		first.End()
		second.End()
		time.Sleep(idleTimeout - time.Second)
		third := subscribe(t, l, "third")
		time.Sleep(2 * idleTimeout)
		if n := db.Calls(sqllocktest.OpOpenListener); n != 1 || !third.Active() {
			t.Errorf("%d connections were opened; the third waiter is notified: %t", n, third.Active())
		}
		third.End()
		time.Sleep(idleTimeout + time.Second)
		select {
		case <-third.Stopped():
		default:
			t.Error("the connection is open without waiters")
		}
		subscribe(t, l, "fourth").End()
		if n := db.Calls(sqllocktest.OpOpenListener); n != 2 {
			t.Errorf("%d connections were opened, want 2", n)
		}
	})
}

// After a failure waiters poll, without a try of their own for as long as the failure is new.
func TestFailure(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect, l *Listener, log *strings.Builder) {
		s := subscribe(t, l, "waiter")
		db.CutListeners()
		<-s.Stopped()
		synctest.Wait()
		if s.Active() || l.Works() || subscribe(t, l, "another") != nil {
			t.Error("a connection that was cut still works")
		}
		if n := db.Calls(sqllocktest.OpOpenListener); n != 1 || strings.Count(log.String(), "connection failed") != 1 {
			t.Errorf("%d connections were opened; the log: %s", n, log)
		}
		time.Sleep(retryAfter)
		if !l.Works() || !subscribe(t, l, "later").Active() {
			t.Error("notifications don't work again")
		}
	})
}

// A server without notifications is no failure, and doesn't warn.
func TestUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(withoutNotifications{sqllocktest.New()})
		s.Start(t.Context())
		var log strings.Builder
		l := New(s, "test", slog.New(slog.NewTextHandler(&log, nil)))
		if subscribe(t, l, "waiter") != nil || l.Works() {
			t.Error("notifications that don't work are used")
		}
		if strings.Contains(log.String(), "WARN") || !strings.Contains(log.String(), "waiters poll") {
			t.Errorf("the log: %s", &log)
		}
		s.Shut()
		s.Wait(t.Context())
	})
}

type withoutNotifications struct{ *sqllocktest.Dialect }

func (withoutNotifications) OpenListener(context.Context, string) (dialect.Listener, error) {
	return nil, fmt.Errorf("%w: behind a pooler", dialect.ErrUnsupported)
}

// A Client that polls has no Listener.
func TestNone(t *testing.T) {
	var l *Listener
	s := subscribe(t, l, "waiter")
	if l.Works() || s.Active() || s.Channel() != "" || s.Stopped() != nil {
		t.Error("a nil Listener works")
	}
	s.End()
}
