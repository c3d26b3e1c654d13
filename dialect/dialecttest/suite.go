package dialecttest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

const (
	atOnce = time.Second            // a call that takes longer has waited for something
	soon   = 10 * time.Second       // how long to wait for what must happen
	short  = 200 * time.Millisecond // a TTL that a test waits out
	long   = time.Minute            // a TTL that no test outlasts
	tick   = 5 * time.Millisecond   // between two polls
	slack  = 3 * time.Millisecond   // for clocks with milliseconds, read several times
)

// suite has the operations of the dialect, one element at a time. They fail the test on an error.
type suite struct {
	*testing.T
	Harness
	d   dialect.Dialect
	ctx context.Context
}

// newSuite bounds all calls of a test, so that a call which waits for ever fails only that test.
func newSuite(t *testing.T, h Harness) *suite {
	ctx, cancel := context.WithTimeout(t.Context(), 6*soon)
	t.Cleanup(cancel)
	return &suite{T: t, Harness: h, d: h.Dialect, ctx: ctx}
}

// begun returns s, unless Before skips this test.
func (s *suite) begun() *suite {
	if s.Before != nil {
		s.Before(s.T)
	}
	return s
}

// run runs a subtest of the contract. Subtests are sequential.
func (s *suite) run(name string, check func(*suite)) {
	s.T.Run(name, func(t *testing.T) { check(newSuite(t, s.Harness).begun()) })
}

// unique returns a name, an owner or an id that nothing else has.
func unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%v (class %s)", err, s.d.Classify(err))
	}
}

// retryTransient repeats ask while it returns a Transient error: a deadlock or a busy database is
// no breach of the contract.
func retryTransient[T any](s *suite, ask func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(soon)
	for {
		result, err := ask(s.ctx)
		if err == nil || s.d.Classify(err) != dialect.ClassTransient || time.Now().After(deadline) {
			return result, err
		}
		time.Sleep(tick)
	}
}

// ask is retryTransient for calls that mustn't fail. It checks that there are as many results as
// elements.
func ask[Q, A any](s *suite, f func(context.Context, []Q) ([]A, error), elements ...Q) []A {
	s.Helper()
	results, err := retryTransient(s, func(ctx context.Context) ([]A, error) { return f(ctx, elements) })
	s.must(err)
	if len(results) != len(elements) {
		s.Fatalf("%d results for %d elements", len(results), len(elements))
	}
	return results
}

func (s *suite) eventually(what string, check func() bool) {
	s.Helper()
	for deadline := time.Now().Add(soon); !check(); time.Sleep(tick) {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s", what, soon)
		}
	}
}

// awaitApplied waits until ok, or for soon: a node of a cluster may still have to apply what
// another pool has committed on another node. The caller checks what has come of it.
func (s *suite) awaitApplied(ok func() bool) {
	for deadline := time.Now().Add(soon); !ok() && time.Now().Before(deadline); {
		time.Sleep(tick)
	}
}

// quickly fails the test if f takes longer than atOnce. f must use the suite that it gets.
func (s *suite) quickly(what string, f func(*suite)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, atOnce)
	defer cancel()
	bounded := *s
	bounded.ctx = ctx
	defer func() {
		if ctx.Err() != nil {
			s.Errorf("%s took longer than %s: it waited for another transaction", what, atOnce)
		}
	}()
	f(&bounded)
}

// remaining checks how much is left of a time that the database measures since sent, or later.
func (s *suite) remaining(what string, got, of time.Duration, sent time.Time) {
	s.Helper()
	if least := of - time.Since(sent) - slack; got < least || got > of+slack {
		s.Errorf("%s of %s has %s remaining, want between %s and that", what, of, got, least)
	}
}

func (s *suite) lease(ttl time.Duration) string {
	s.Helper()
	id := unique("lease")
	s.create(dialect.Lease{ID: id, Holder: "holder of " + id, TTL: ttl})
	return id
}

func (s *suite) create(l dialect.Lease) {
	s.Helper()
	_, err := retryTransient(s, func(ctx context.Context) (any, error) { return nil, s.d.CreateLease(ctx, l) })
	s.must(err)
}

func (s *suite) drop(ids ...string) {
	s.Helper()
	_, err := retryTransient(s, func(ctx context.Context) (any, error) { return nil, s.d.DeleteLeases(ctx, ids) })
	s.must(err)
}

func (s *suite) renew(id string) bool {
	s.Helper()
	return ask(s, s.d.RenewLeases, id)[0]
}

func (s *suite) expire(id string) dialect.Expiry {
	s.Helper()
	return ask(s, s.d.ExpireLeases, id)[0]
}

// waitExpired waits for a lease to run out, and ends it.
func (s *suite) waitExpired(id string) dialect.Expiry {
	s.Helper()
	var b dialect.Expiry
	s.eventually("lease runs out", func() bool { b = s.expire(id); return b.Dead })
	return b
}

// request returns a request for slot 0 of name, under a lease.
func request(name, lease string) dialect.Request {
	return dialect.Request{Key: dialect.Key{Name: name}, LeaseID: lease, Owner: unique("owner")}
}

func claim(r dialect.Request) dialect.Claim { return dialect.Claim{Key: r.Key, Owner: r.Owner} }

func deadHolder(r dialect.Request, fence int64) dialect.DeadHolder {
	return dialect.DeadHolder{Key: r.Key, Fence: fence, LeaseID: r.LeaseID}
}

func (s *suite) acquire(r dialect.Request) dialect.Grant {
	s.Helper()
	return ask(s, s.d.Acquire, r)[0]
}

// take acquires a lock that must be free, and returns the fence.
func (s *suite) take(r dialect.Request) int64 {
	s.Helper()
	g := s.acquire(r)
	if !g.Granted {
		s.Fatalf("Acquire(%q, slot %d) refused; the row is %+v", r.Name, r.Slot, s.get(r.Key))
	}
	return g.Fence
}

// refused checks that a lock can't be acquired now.
func (s *suite) refused(r dialect.Request) {
	s.Helper()
	if g := s.acquire(r); g != (dialect.Grant{}) {
		s.Fatalf("Acquire(%q, slot %d) returned %+v, want a refusal; the row is %+v", r.Name, r.Slot, g, s.get(r.Key))
	}
}

func (s *suite) release(c dialect.Claim) bool {
	s.Helper()
	return ask(s, s.d.Release, c)[0]
}

func (s *suite) free(h dialect.DeadHolder) bool {
	s.Helper()
	return ask(s, s.d.Free, h)[0]
}

func (s *suite) get(k dialect.Key) dialect.Row {
	s.Helper()
	return ask(s, s.d.Get, k)[0]
}

// held checks which request holds the lock, and returns its row.
func (s *suite) held(r dialect.Request, fence int64) dialect.Row {
	s.Helper()
	row := s.get(r.Key)
	if !row.Held || row.Owner != r.Owner || row.LeaseID != r.LeaseID || row.Fence != fence {
		s.Fatalf("the row is %+v, want it held by %+v with fence %d", row, r, fence)
	}
	return row
}

// holderDied returns a lock whose holder's lease has expired.
func (s *suite) holderDied(r dialect.Request) (dialect.Request, dialect.DeadHolder) {
	s.Helper()
	r.LeaseID = s.lease(time.Millisecond)
	fence := s.take(r)
	s.waitExpired(r.LeaseID)
	return r, deadHolder(r, fence)
}

// still clears the fields of a row that change with time, to compare two reads of it.
func still(r dialect.Row) dialect.Row {
	r.FreeIn, r.Remaining = 0, 0
	return r
}

// direct returns the pool for the suite's own reads of the tables.
func (s *suite) direct() *sql.DB {
	if s.Direct != nil {
		return s.Direct
	}
	return s.DB
}
