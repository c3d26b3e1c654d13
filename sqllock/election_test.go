package sqllock_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// candidate is an election as one process takes part in it.
func candidate(t *testing.T, c *sqllock.Client, opts ...sqllock.Option) *sqllock.Election {
	t.Helper()
	e, err := c.Election("boss", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustLead(t *testing.T, e *sqllock.Election) *sqllock.Term {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	term, err := e.Campaign(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return term
}

func TestCampaign(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		one, two := candidate(t, client(t, db, "one"), sqllock.WithNote("build 7")), candidate(t, client(t, db, "two"))
		if l, ok, err := two.Leader(t.Context()); ok || err != nil || l != (sqllock.Leader{}) {
			t.Errorf("Leader before anybody leads = %+v, %v, %v", l, ok, err)
		}
		first := mustLead(t, one)
		began := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := two.Campaign(ctx)
		wantErr(t, "Campaign while another leads", err, sqllock.ErrNotAcquired)
		wantErr(t, "Campaign while another leads", err, context.DeadlineExceeded)
		if held, ok := errors.AsType[*sqllock.HeldError](err); !ok || held.Holder != "one" || held.Fence != first.Number() {
			t.Errorf("Campaign while another leads: %v; want it to name the leader", err)
		}
		l, ok, err := two.Leader(t.Context())
		if want := (sqllock.Leader{Holder: "one", Note: "build 7", Term: first.Number(), Since: l.Since}); !ok || err != nil || l != want {
			t.Errorf("Leader = %+v, %v, %v; want %+v", l, ok, err, want)
		}
		if l.Since.Sub(began).Abs() > time.Second {
			t.Errorf("it leads since %s; want %s", l.Since, began)
		}

		second := make(chan *sqllock.Term, 1)
		go func() { second <- mustLead(t, two) }()
		time.Sleep(time.Minute) // heartbeats keep the first
		if first.Context().Err() != nil {
			t.Fatal("the first leader's term ended by itself:", context.Cause(first.Context()))
		}
		if err := first.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, "the end of the first term", context.Cause(first.Context()), sqllock.ErrNotHeld)
		wantErr(t, "Guard after it", first.Guard(t.Context(), nil), sqllock.ErrNotHeld)
		wantErr(t, "a second Resign", first.Resign(t.Context()), sqllock.ErrNotHeld)
		if term := <-second; term.Number() <= first.Number() {
			t.Errorf("term %d after term %d", term.Number(), first.Number())
		}
	})
}

func TestElectionRefused(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one")
		for what, opts := range map[string][]sqllock.Option{
			"Session":       {sqllock.Session()},
			"Shared":        {sqllock.Shared()},
			"Fair":          {sqllock.Fair()},
			"HoldAtLeast":   {sqllock.HoldAtLeast(time.Second)},
			"OnWait":        {sqllock.OnWait(func(*sqllock.HeldError) {})},
			"nil option":    {nil},
			"short TTL":     {sqllock.WithTTL(time.Millisecond)},
			"no TTL":        {sqllock.WithTTL(0)},
			"long delay":    {sqllock.LockDelay(sqllock.MaxHold + 1)},
			"note with \\n": {sqllock.WithNote("a\nb")},
			"long note":     {sqllock.WithNote(strings.Repeat("x", 256))},
		} {
			e, err := c.Election("boss", opts...)
			if !errors.Is(err, sqllock.ErrInvalid) || e != nil {
				t.Errorf("%s: Election = %v, %v; want ErrInvalid", what, e, err)
			}
		}
		for _, name := range []string{"", " boss", "bo\x00ss", strings.Repeat("x", 256), "\xff"} {
			_, err := c.Election(name)
			wantErr(t, "the name "+name, err, sqllock.ErrInvalid)
		}
		e := candidate(t, c, sqllock.WithTTL(time.Second), sqllock.WithNote("n"), sqllock.LockDelay(time.Second))
		wantErr(t, "Run of nil", e.Run(t.Context(), nil), sqllock.ErrInvalid)
		if n := db.Calls(sqllocktest.OpAcquire); n > 0 {
			t.Errorf("the database was asked for %d locks", n)
		}
	})
}

func TestElectionOfClosedClient(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one")
		e := candidate(t, c)
		term := mustLead(t, e)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "the term's end", context.Cause(term.Context()), sqllock.ErrClosed)
		wantErr(t, "Resign", term.Resign(t.Context()), sqllock.ErrClosed)
		_, err := e.Campaign(t.Context())
		wantErr(t, "Campaign", err, sqllock.ErrClosed)
		_, _, err = e.Leader(t.Context())
		wantErr(t, "Leader", err, sqllock.ErrClosed)
		wantErr(t, "HandOver", e.HandOver(t.Context()), sqllock.ErrClosed)
		wantErr(t, "Run", e.Run(t.Context(), func(context.Context, *sqllock.Term) error { return nil }), sqllock.ErrClosed)
		term.HandOverAsked() // asks nobody
	})
}

func TestElectionWithoutTables(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one", func(o *sqllock.Options) { o.WithoutTables = true })
		_, err := c.Election("boss")
		wantErr(t, "Election", err, sqllock.ErrUnsupported)
	})
}

// A name is a lock's or an election's: whoever comes second is told so at once, by whom it is held.
func TestNameInUse(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		one, two := client(t, db, "one"), client(t, db, "two")
		told := func(what string, err error, parts ...string) {
			t.Helper()
			if !errors.Is(err, sqllock.ErrInvalid) {
				t.Fatalf("%s: error is %v; want ErrInvalid", what, err)
			}
			for _, part := range append(parts, `"boss"`, "since 2000-", "take another name") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %q doesn't say %q", what, err, part)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // were they to wait
		defer cancel()
		began := time.Now()
		lock := mustTry(t, one, "boss", sqllock.WithNote("a job"))
		_, err := candidate(t, two).Campaign(ctx)
		told("Campaign for a lock", err, "in use as a lock", "held by one (a job)")
		told("Run for a lock", candidate(t, two).Run(ctx, nobody(t)), "in use as a lock")
		_, _, err = candidate(t, two).Leader(t.Context())
		told("Leader of a lock", err, "in use as a lock")
		told("HandOver of a lock", candidate(t, two).HandOver(t.Context()), "in use as a lock")
		mustRelease(t, lock)

		term := mustLead(t, candidate(t, one))
		_, err = two.TryAcquire(t.Context(), "boss")
		told("TryAcquire of an election", err, "in use as an election", "whose leader is one")
		_, err = two.Acquire(ctx, "boss")
		told("Acquire of an election", err, "in use as an election")
		_, err = two.Acquire(ctx, "boss", sqllock.Fair())
		told("Acquire of an election", err, "in use as an election")
		_, err = two.TryAcquire(t.Context(), "boss", sqllock.Session())
		if err != nil {
			t.Error("a session lock has nothing to do with it:", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("that took %s; want it told at once", d)
		}
		if err := term.Guard(t.Context(), nil); err != nil {
			t.Error("the leader was disturbed:", err)
		}

		mustRelease(t, mustTry(t, one, "book", sqllock.Shared()))
		readers, err := two.Election("book")
		if err != nil {
			t.Fatal(err)
		}
		_, err = readers.Campaign(t.Context())
		wantErr(t, "Campaign for a lock that is shared", err, sqllock.ErrInvalid)

		db.ExpireLeases() // a dead leader is in nobody's way
		mustTry(t, two, "boss")
	})
}

// nobody is a function to run as leader that must not be called.
func nobody(t *testing.T) func(context.Context, *sqllock.Term) error {
	return func(context.Context, *sqllock.Term) error {
		t.Error("leads, and should not")
		return nil
	}
}

// The database fails, in every way that is transient, for less than the lease lasts: the term goes on.
func TestTermOutlivesOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		one, two := candidate(t, client(t, db, "one")), candidate(t, client(t, db, "two"))
		term := mustLead(t, one)
		term.HandOverAsked()
		for range 5 {
			time.Sleep(sqllock.DefaultTTL / 2)
			db.Outage(true)
			time.Sleep(sqllock.DefaultTTL / 2)
			db.Outage(false)
			db.FailNext(sqllocktest.OpRenewLeases, 1, dialect.Unknown)
			db.LoseReplies(sqllocktest.OpRenewLeases, 1)
		}
		if err := term.Guard(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if l, _, err := two.Leader(t.Context()); err != nil || l.Term != term.Number() {
			t.Errorf("Leader = %+v, %v; want term %d", l, err, term.Number())
		}
	})
}

// A leader that can't reach the database stops before anybody else can lead, and the next one leads when its lease has run
// out; with a LockDelay, so much later.
func TestTermLost(t *testing.T) {
	for _, delay := range []time.Duration{0, 20 * time.Second} {
		bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
			cut := &cuttable{Dialect: db}
			one := candidate(t, client(t, cut, "one"), sqllock.LockDelay(delay))
			two := candidate(t, client(t, db, "two"))
			first := mustLead(t, one)
			began := time.Now()
			cut.off.Store(true)
			synctest.Wait()
			second := mustLead(t, two)
			took := time.Since(began)
			if first.Context().Err() == nil {
				t.Error("two lead")
			}
			wantErr(t, "the first term's end", context.Cause(first.Context()), sqllock.ErrLost)
			if least := sqllock.DefaultTTL + delay; took < least || took > least+2*time.Second {
				t.Errorf("the next one leads after %s; want %s", took, least)
			}
			if second.Number() <= first.Number() {
				t.Errorf("term %d after term %d", second.Number(), first.Number())
			}
			cut.off.Store(false)
			wantErr(t, "Resign of a lost term", first.Resign(t.Context()), sqllock.ErrLost)
			wantErr(t, "Guard of a lost term", first.Guard(t.Context(), nil), sqllock.ErrNotHeld)
		})
	}
}

// cuttable is the database as a process sees it that can be cut off from it.
type cuttable struct {
	*sqllocktest.Dialect
	off atomic.Bool
}

func (d *cuttable) err() error {
	if d.off.Load() {
		return &sqllocktest.Error{Op: sqllocktest.Any, Class: dialect.Transient, Reason: "cut off"}
	}
	return nil
}

func (d *cuttable) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Dialect.Acquire(ctx, requests)
}

func (d *cuttable) CreateLease(ctx context.Context, l dialect.Lease) error {
	if err := d.err(); err != nil {
		return err
	}
	return d.Dialect.CreateLease(ctx, l)
}

func (d *cuttable) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Dialect.RenewLeases(ctx, ids)
}

func (d *cuttable) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Dialect.Look(ctx, keys)
}
