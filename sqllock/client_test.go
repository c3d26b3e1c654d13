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
			"nil dialect": {nil, nil, sqllock.ErrInvalid, "dialect is nil"},
			"bad option":  {db, &sqllock.Options{TTL: 1}, sqllock.ErrInvalid, "1ns"},
			"old tables": {
				probed{db, dialect.Server{Versioned: true, Schema: want - 1}},
				nil,
				sqllock.ErrSchema, "sqllock-migrate own up",
			},
			"newer tables": {
				probed{db, dialect.Server{Versioned: true, Schema: want + 1}}, nil, sqllock.ErrSchema, "newer",
			},
			"newer tables for newer programs": {
				probed{db, dialect.Server{Versioned: true, Schema: want + 2, CompatibleFrom: want + 1}},
				nil,
				sqllock.ErrSchema, "leave the tables as they are",
			},
			"no tables": {
				probed{db, dialect.Server{Versioned: true}}, nil, sqllock.ErrSchema, "sqllock-migrate own up",
			},
			"two versions": {
				probed{db, dialect.Server{Versioned: true, Schema: want, Several: true}},
				nil,
				sqllock.ErrSchema, "has several rows",
			},
			"dirty tables": {
				probed{db, dialect.Server{Versioned: true, Schema: want, Dirty: true}},
				nil,
				sqllock.ErrSchema, "sqllock-migrate own force",
			},
		} {
			c, err := sqllock.New(t.Context(), test.dialect, test.opts)
			wantErr(t, what, err, test.err)
			if err == nil || !strings.Contains(err.Error(), test.says) || c != nil {
				t.Errorf("%s: New = %v, %v; want an error that says %q", what, c, err, test.says)
			}
		}
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassNoSchema)
		_, err := sqllock.New(t.Context(), db, nil)
		wantErr(t, "missing tables", err, sqllock.ErrSchema)
		db.FailNext(sqllocktest.OpProbe, 1, dialect.ClassReadOnly)
		_, err = sqllock.New(t.Context(), db, nil)
		wantErr(t, "read-only replica", err, sqllock.ErrUnsupported)
	})
}

// TestNewProbesAgain: the probe is tried three times if the database says that it can't answer just
// now, and once for any other error.
func TestNewProbesAgain(t *testing.T) {
	for what, test := range map[string]struct {
		class       dialect.Class
		fail, calls int
		limit       time.Duration // of ctx
	}{
		"transient once":        {dialect.ClassTransient, 1, 2, time.Minute},
		"transient twice":       {dialect.ClassTransient, 2, 3, time.Minute},
		"transient three times": {dialect.ClassTransient, 3, 3, time.Minute},
		"transient, ctx ends":   {dialect.ClassTransient, 1, 1, time.Millisecond},
		"permanent":             {dialect.ClassPermanent, 1, 1, time.Minute},
		"unknown":               {dialect.ClassUnknown, 1, 1, time.Minute},
		"no tables":             {dialect.ClassNoSchema, 1, 1, time.Minute},
		"read-only":             {dialect.ClassReadOnly, 1, 1, time.Minute},
		"no failure":            {dialect.ClassPermanent, 0, 1, time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
				db.FailNext(sqllocktest.OpProbe, test.fail, test.class)
				ctx, cancel := context.WithTimeout(t.Context(), test.limit)
				defer cancel()
				c, err := sqllock.New(ctx, db, nil)
				if calls := db.Calls(sqllocktest.OpProbe); calls != test.calls {
					t.Errorf("probed %d times, want %d", calls, test.calls)
				}
				if (err == nil) != (test.fail < test.calls) {
					t.Errorf("New answered %v after %d failures of %d probes", err, test.fail, test.calls)
				}
				if err == nil {
					if err := c.Close(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// TestNewOnNewerTables: a newer release has migrated, and the tables say that this one may use
// them.
func TestNewOnNewerTables(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		want := db.SchemaVersion()
		for _, from := range []uint{1, want - 1, want} {
			server := dialect.Server{Versioned: true, Schema: want + 5, CompatibleFrom: from}
			c, err := sqllock.New(t.Context(), probed{db, server}, nil)
			if err != nil {
				t.Fatalf("tables of version %d, compatible from %d: %v", want+5, from, err)
			}
			mustRelease(t, mustTry(t, c, "lock"))
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLocks(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		a, b := client(t, db, "a"), client(t, db, "b")
		mustTry(t, a, "held", sqllock.WithNote("why"))
		mustRelease(t, mustTry(t, a, "free"))
		mustRelease(t, mustTry(t, a, "barred", sqllock.HoldAtLeast(time.Hour)))
		abandon(t, db, "dead", 0, 0)
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
			"held": sqllock.StateHeld, "free": sqllock.StateFree,
			"barred": sqllock.StateBarred, "dead": sqllock.StateExpired,
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
		fence := abandon(t, db, "dead", 0, 0)
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
		if lock := mustTry(t, a, "dead"); lock.Fence() <= fence {
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
		abandon(t, db, "dead", 0, 0)
		time.Sleep(3 * time.Minute)
		for info, err := range a.Locks(t.Context()) {
			t.Errorf("not reaped: %+v, %v", info, err)
		}
	})
}
