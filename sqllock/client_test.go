package sqllock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// probed is a database whose probe finds a certain server.
type probed struct {
	*sqllocktest.Dialect
	server dialect.Server
}

func (p probed) Probe(context.Context) (dialect.Server, error) { return p.server, nil }

func TestNewRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		want := db.SchemaVersion()
		for what, test := range map[string]struct {
			dialect dialect.Dialect
			opts    *sqllock.Options
			err     error
			says    string
		}{
			"nil dialect":  {nil, nil, sqllock.ErrInvalid, "dialect is nil"},
			"bad option":   {db, &sqllock.Options{TTL: 1}, sqllock.ErrInvalid, "1ns"},
			"old tables":   {probed{db, dialect.Server{Versioned: true, Schema: want - 1}}, nil, sqllock.ErrSchema, "sqllock-migrate up"},
			"newer tables": {probed{db, dialect.Server{Versioned: true, Schema: want + 1}}, nil, sqllock.ErrSchema, "newer"},
			"no tables":    {probed{db, dialect.Server{Versioned: true}}, nil, sqllock.ErrSchema, "sqllock-migrate up"},
			"dirty tables": {probed{db, dialect.Server{Versioned: true, Schema: want, Dirty: true}}, nil, sqllock.ErrSchema, "sqllock-migrate force"},
		} {
			c, err := sqllock.New(t.Context(), test.dialect, test.opts)
			wantErr(t, what, err, test.err)
			if err == nil || !strings.Contains(err.Error(), test.says) || c != nil {
				t.Errorf("%s: New = %v, %v; want an error that says %q", what, c, err, test.says)
			}
		}
		db.FailNext(sqllocktest.OpProbe, 1, dialect.NoSchema)
		_, err := sqllock.New(t.Context(), db, nil)
		wantErr(t, "missing tables", err, sqllock.ErrSchema)
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ReadOnly)
		_, err = sqllock.New(t.Context(), db, nil)
		wantErr(t, "read-only replica", err, sqllock.ErrUnsupported)
	})
}

func TestLocks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mustTry(t, a, "held", sqllock.WithNote("why"))
		mustRelease(t, mustTry(t, a, "free"))
		mustRelease(t, mustTry(t, a, "barred", sqllock.HoldAtLeast(time.Hour)))
		abandon(t, db, "orphan", 0, 0)
		time.Sleep(11 * time.Second)
		for i := range 2 * 500 {
			mustTry(t, b, fmt.Sprint("many/", i))
		}
		got := map[string]sqllock.Info{}
		for info, err := range a.AllLocks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[info.Name] = info
		}
		for name, want := range map[string]sqllock.State{
			"held": sqllock.Held, "free": sqllock.Free, "barred": sqllock.Barred, "orphan": sqllock.Expired,
		} {
			if got[name].State != want {
				t.Errorf("%s: %+v; want state %s", name, got[name], want)
			}
		}
		if i := got["held"]; i.Holder != "a" || i.Note != "why" || i.Remaining <= 0 {
			t.Errorf("held: %+v", i)
		}
		if len(got) != 1004 {
			t.Errorf("%d locks listed; want 1004", len(got))
		}
		n := 0
		for _, err := range a.Locks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 1002 {
			t.Errorf("%d locks listed as held; want 1002", n)
		}
	})
}

func TestReap(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a", func(o *sqllock.Options) { o.PurgeAfter = time.Hour })
		living := mustTry(t, a, "living")
		fence := abandon(t, db, "orphan", 0, 0)
		_ = db.CreateLease(t.Context(), dialect.Lease{ID: "idle", TTL: time.Second})
		reap := func(what string, want sqllock.Reaped) {
			t.Helper()
			if r, err := a.Reap(t.Context()); err != nil || r != want {
				t.Errorf("%s: Reap = %+v, %v; want %+v", what, r, err, want)
			}
		}
		reap("nothing has run out", sqllock.Reaped{})
		time.Sleep(time.Minute)
		reap("two leases have", sqllock.Reaped{Leases: 2, Locks: 1})
		reap("again", sqllock.Reaped{})
		time.Sleep(2 * time.Hour)
		reap("long after", sqllock.Reaped{Purged: 1})
		if lock := mustTry(t, a, "orphan"); lock.Fence() <= fence {
			t.Errorf("after the purge the fence went from %d to %d", fence, lock.Fence())
		}
		if living.Context().Err() != nil {
			t.Error("the reaper took a living lock")
		}
	})
}

func TestReaperInTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a := client(t, db, "a", func(o *sqllock.Options) { o.ReapEvery = 0 })
		abandon(t, db, "orphan", 0, 0)
		time.Sleep(3 * time.Minute)
		for info, err := range a.Locks(t.Context()) {
			t.Errorf("not reaped: %+v, %v", info, err)
		}
	})
}
