package integration

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// generous grants what is held.
type generous struct{ dialect.Dialect }

func (d generous) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	grants, err := d.Dialect.Acquire(ctx, requests)
	for i := range grants {
		if !grants[i].Granted {
			grants[i] = dialect.Grant{Granted: true, Fence: time.Now().UnixMicro()}
		}
	}
	return grants, err
}

// blind finds no readers' rows.
type blind struct{ dialect.Dialect }

const readersFrom = 1 << 21 // their slots

func (d blind) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := d.Dialect.List(ctx, after, heldOnly, limit)
	return slices.DeleteFunc(rows, func(row dialect.Row) bool { return row.Slot >= readersFrom }), err
}

// deadly says of every lease that it is over.
type deadly struct{ dialect.Dialect }

func (d deadly) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	rows, err := d.Dialect.Look(ctx, keys)
	for i := range rows {
		rows[i].Lease = dialect.LeaseExpired
	}
	return rows, err
}

func (d deadly) BuryLeases(_ context.Context, ids []string) ([]dialect.Burial, error) {
	return slices.Repeat([]dialect.Burial{{Dead: true}}, len(ids)), nil
}

// forgetful makes fences of its own, which don't grow.
type forgetful struct{ dialect.Dialect }

func (d forgetful) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	grants, err := d.Dialect.Acquire(ctx, requests)
	for i := range grants {
		grants[i].Fence = 1
	}
	return grants, err
}

// oblivious recalls nothing, and remembers what it is told last.
type oblivious struct{ dialect.Dialect }

func (d oblivious) Recall(_ context.Context, names []string) ([]dialect.Outcome, error) {
	return make([]dialect.Outcome, len(names)), nil
}

func (d oblivious) Remember(_ context.Context, done []dialect.Done) (out []dialect.Outcome, _ error) {
	for _, o := range done {
		out = append(out, dialect.Outcome{Kept: true, Fence: o.Fence, Failed: o.Failed, Result: o.Result, At: time.Now()})
	}
	return out, nil
}

// garbling recalls another outcome than was written.
type garbling struct{ dialect.Dialect }

func (d garbling) Recall(ctx context.Context, names []string) ([]dialect.Outcome, error) {
	out, err := d.Dialect.Recall(ctx, names)
	for i := range out {
		if out[i].Kept {
			out[i].Result = append([]byte("1"), out[i].Result...)
		}
	}
	return out, err
}

// Each of the checks can fail: a database that lies is found out, and a picture is drawn of what can't have been.
func TestHistoriesTellLies(t *testing.T) {
	server := servers.Start(t, "sqlite")
	tooMany := func(a *actor) { a.hold(deed{}, sqllock.Permits(historyPermits+1)) }
	for _, l := range []struct {
		what, history string
		act           func(*actor) // instead of the history's own
		lie           func(dialect.Dialect) dialect.Dialect
	}{
		{what: "a held lock is granted", history: "lock", lie: func(d dialect.Dialect) dialect.Dialect { return generous{d} }},
		{what: "a lock is taken from who is alive", history: "lock", lie: func(d dialect.Dialect) dialect.Dialect { return deadly{d} }},
		{what: "a fence stays as it is", history: "lock", lie: func(d dialect.Dialect) dialect.Dialect { return forgetful{d} }},
		{what: "a writer doesn't look for readers", history: "shared", lie: func(d dialect.Dialect) dialect.Dialect { return blind{d} }},
		{what: "a held permit is granted", history: "permits", lie: func(d dialect.Dialect) dialect.Dialect { return generous{d} }},
		{what: "a permit too many is granted", history: "permits", act: tooMany},
		{what: "an outcome is forgotten", history: "once", lie: func(d dialect.Dialect) dialect.Dialect { return oblivious{d} }},
		{what: "an outcome is another", history: "once", lie: func(d dialect.Dialect) dialect.Dialect { return garbling{d} }},
		{what: "two do the work", history: "once", lie: func(d dialect.Dialect) dialect.Dialect { return generous{d} }},
		{what: "two lead", history: "election", lie: func(d dialect.Dialect) dialect.Dialect { return generous{d} }},
		{what: "a leader is overthrown", history: "election", lie: func(d dialect.Dialect) dialect.Dialect { return deadly{d} }},
		{what: "a term is as before", history: "election", lie: func(d dialect.Dialect) dialect.Dialect { return forgetful{d} }},
	} {
		t.Run(l.what, func(t *testing.T) {
			t.Parallel()
			h := histories[slices.IndexFunc(histories, func(h history) bool { return h.name == l.history })]
			if l.act != nil {
				h.act = l.act
			}
			h.must = nil
			var r *record
			for end := time.Now().Add(patience); ; { // it may take a while until they meet
				r = h.run(t, database(t, server), time.Second/2, 0, l.lie) // a new one: what the last run left would be found illegal
				if porcupine.CheckOperationsTimeout(h.model, r.ops, checkLimit) == porcupine.Illegal {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d operations (%v) weren't found illegal", len(r.ops), r.counts)
				}
			}
			if picture, err := os.Stat(h.draw(t, r)); err != nil || picture.Size() == 0 {
				t.Errorf("no picture was drawn: %v", err)
			}
		})
	}
}
