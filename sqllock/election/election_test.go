package election_test

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
	"github.com/sqllock/sqllock/sqllock/election"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// candidate returns an election as one process takes part in it.
func candidate(t *testing.T, c *sqllock.Client, opts ...election.Option) *election.Election {
	t.Helper()
	e, err := election.New(c, "boss", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustLead(t *testing.T, e *election.Election) *election.Term {
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
		if l, ok, err := two.Leader(t.Context()); ok || err != nil || l != (election.Leader{}) {
			t.Errorf("Leader before anybody leads = %+v, %v, %v", l, ok, err)
		}
		first := mustLead(t, one)
		began := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := two.Campaign(ctx)
		wantErr(t, "Campaign while another leads", err, sqllock.ErrNotAcquired)
		wantErr(t, "Campaign while another leads", err, context.DeadlineExceeded)
		held, ok := errors.AsType[*sqllock.HeldError](err)
		if !ok || held.Holder != "one" || held.Fence != first.Number() {
			t.Errorf("Campaign while another leads: %v; want it to name the leader", err)
		}
		l, ok, err := two.Leader(t.Context())
		want := election.Leader{Holder: "one", Note: "build 7", Term: first.Number(), Since: l.Since}
		if !ok || err != nil || l != want {
			t.Errorf("Leader = %+v, %v, %v; want %+v", l, ok, err, want)
		}
		if l.Since.Sub(began).Abs() > time.Second {
			t.Errorf("it leads since %s; want %s", l.Since, began)
		}

		second := make(chan *election.Term, 1)
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
		for what, opts := range map[string][]election.Option{
			"nil option":    {nil},
			"short TTL":     {sqllock.WithTTL(time.Millisecond)},
			"no TTL":        {sqllock.WithTTL(0)},
			"long delay":    {sqllock.LockDelay(sqllock.MaxHold + 1)},
			"note with \\n": {sqllock.WithNote("a\nb")},
			"long note":     {sqllock.WithNote(strings.Repeat("x", 256))},
			"high priority": {election.Priority(election.MaxPriority + 1)},
			"low priority":  {election.Priority(-election.MaxPriority - 1)},
		} {
			e, err := election.New(c, "boss", opts...)
			if !errors.Is(err, sqllock.ErrInvalid) || e != nil {
				t.Errorf("%s: New = %v, %v; want ErrInvalid", what, e, err)
			}
		}
		for _, name := range []string{"", " boss", "bo\x00ss", strings.Repeat("x", 256), "\xff"} {
			_, err := election.New(c, name)
			wantErr(t, "the name "+name, err, sqllock.ErrInvalid)
		}
		for _, holder := range []string{"", " one", "a\nb", strings.Repeat("x", 256)} {
			wantErr(t, "HandOverTo "+holder, candidate(t, c).HandOverTo(t.Context(), holder), sqllock.ErrInvalid)
		}
		e := candidate(t, c, sqllock.WithTTL(time.Second), sqllock.WithNote("n"), sqllock.LockDelay(time.Second),
			election.Priority(-election.MaxPriority), election.OnQueued(func() {}))
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
		wantErr(t, "HandOverTo", e.HandOverTo(t.Context(), "one"), sqllock.ErrClosed)
		err = e.Run(t.Context(), func(context.Context, *election.Term) error { return nil })
		wantErr(t, "Run", err, sqllock.ErrClosed)
		term.HandOverAsked() // polls only because of this call
	})
}

func TestElectionWithoutTables(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		c := client(t, db, "one", func(o *sqllock.Options) { o.WithoutTables = true })
		_, err := election.New(c, "boss")
		wantErr(t, "New", err, sqllock.ErrUnsupported)
	})
}

// nobody returns a leader's function that must not be called.
func nobody(t *testing.T) func(context.Context, *election.Term) error {
	return func(context.Context, *election.Term) error {
		t.Error("leads, and should not")
		return nil
	}
}

// The database fails, in every way that is transient, and the term goes on. A heartbeat may be an
// interval old (a third of the TTL) when the outage begins, and two more fail after it: with an
// outage of half the TTL nothing is left to chance.
func TestTermOutlivesOutage(t *testing.T) {
	bubble(t, func(t *testing.T, db *sqllocktest.Dialect) {
		one, two := candidate(t, client(t, db, "one")), candidate(t, client(t, db, "two"))
		term := mustLead(t, one)
		term.HandOverAsked()
		for range 5 {
			time.Sleep(sqllock.DefaultTTL / 2)
			db.Outage(true)
			time.Sleep(sqllock.DefaultTTL / 3)
			db.Outage(false)
			db.FailNext(sqllocktest.OpRenewLeases, 1, dialect.ClassUnknown)
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

// A leader that can't reach the database stops before anybody else can lead. The next one leads
// when the lease has expired, or with a LockDelay that much later.
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

// cuttable is the database as seen by a process that can be cut off from it.
type cuttable struct {
	*sqllocktest.Dialect
	off atomic.Bool
}

func (d *cuttable) err() error {
	if d.off.Load() {
		return &sqllocktest.Error{Op: sqllocktest.Any, Class: dialect.ClassTransient, Reason: "cut off"}
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

func (d *cuttable) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Dialect.Get(ctx, keys)
}

func TestNilClient(t *testing.T) {
	_, err := election.New(nil, "boss")
	wantErr(t, "New", err, sqllock.ErrInvalid)
}
