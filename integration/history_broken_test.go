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
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// generous grants locks that are held.
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

// blind omits the rows of readers from lists.
type blind struct{ dialect.Dialect }

const readersFrom = 1 << 21 // the least slot of a reader's row

func (d blind) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := d.Dialect.List(ctx, after, heldOnly, limit)
	return slices.DeleteFunc(rows, func(row dialect.Row) bool { return row.Slot >= readersFrom }), err
}

// deadly reports every lease as expired.
type deadly struct{ dialect.Dialect }

func (d deadly) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	rows, err := d.Dialect.Get(ctx, keys)
	for i := range rows {
		rows[i].Lease = dialect.LeaseExpired
	}
	return rows, err
}

func (d deadly) ExpireLeases(_ context.Context, ids []string) ([]dialect.Expiry, error) {
	return slices.Repeat([]dialect.Expiry{{Dead: true}}, len(ids)), nil
}

// forgetful returns the same fence for every grant.
type forgetful struct{ dialect.Dialect }

func (d forgetful) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	grants, err := d.Dialect.Acquire(ctx, requests)
	for i := range grants {
		grants[i].Fence = 1
	}
	return grants, err
}

// oblivious recalls no outcome, and lets every call remember its own.
type oblivious struct{ dialect.Dialect }

func (d oblivious) Recall(_ context.Context, names []string) ([]dialect.Outcome, error) {
	return make([]dialect.Outcome, len(names)), nil
}

func (d oblivious) Remember(_ context.Context, done []dialect.Done) (out []dialect.Outcome, _ error) {
	for _, o := range done {
		out = append(out, dialect.Outcome{
			Kept: true, Fence: o.Fence, Failed: o.Failed, Result: o.Result, At: time.Now(),
		})
	}
	return out, nil
}

// garbling recalls another outcome than the one that was remembered.
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

// Each history's check can fail: it finds the fault of each broken dialect, and draws a picture of
// it.
func TestHistoriesFindBrokenDialects(t *testing.T) {
	t.Parallel()
	server := servers.Start(t, "sqlite")
	tooMany := func(a *historyClient) { a.hold(historyOp{}, locktest.Permits(historyPermits+1)) }
	asGenerous := func(d dialect.Dialect) dialect.Dialect { return generous{d} }
	asBlind := func(d dialect.Dialect) dialect.Dialect { return blind{d} }
	asDeadly := func(d dialect.Dialect) dialect.Dialect { return deadly{d} }
	asForgetful := func(d dialect.Dialect) dialect.Dialect { return forgetful{d} }
	asOblivious := func(d dialect.Dialect) dialect.Dialect { return oblivious{d} }
	asGarbling := func(d dialect.Dialect) dialect.Dialect { return garbling{d} }
	for _, l := range []struct {
		what, history string
		act           func(*historyClient) // replaces the history's own, unless nil
		fault         func(dialect.Dialect) dialect.Dialect
	}{
		{what: "a held lock is granted", history: "lock", fault: asGenerous},
		{what: "a lock is taken from a live holder", history: "lock", fault: asDeadly},
		{what: "a fence does not grow", history: "lock", fault: asForgetful},
		{what: "a writer does not see readers", history: "shared", fault: asBlind},
		{what: "a held permit is granted", history: "permits", fault: asGenerous},
		{what: "a permit too many is granted", history: "permits", act: tooMany},
		{what: "an outcome is forgotten", history: "once", fault: asOblivious},
		{what: "an outcome is changed", history: "once", fault: asGarbling},
		{what: "the work is done twice at a time", history: "once", fault: asGenerous},
		{what: "there are two leaders", history: "election", fault: asGenerous},
		{what: "a live leader is replaced", history: "election", fault: asDeadly},
		{what: "a term's number does not grow", history: "election", fault: asForgetful},
	} {
		t.Run(l.what, func(t *testing.T) {
			t.Parallel()
			h := histories[slices.IndexFunc(histories, func(h history) bool { return h.name == l.history })]
			if l.act != nil {
				h.act = l.act
			}
			h.must = nil
			var r *record
			end := time.Now().Add(stepTimeout)
			for lasts := time.Second / 2; ; lasts *= 2 { // it may take a while until two clients collide
				// The database is new: operations on what an earlier run left would be illegal.
				r = h.run(t, database(t, server), lasts, 0, l.fault)
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
