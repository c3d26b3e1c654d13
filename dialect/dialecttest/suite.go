package dialecttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

const (
	atOnce = time.Second            // an answer later than this has waited for something
	soon   = 10 * time.Second       // how long to wait for what must come
	short  = 200 * time.Millisecond // a TTL that a test waits out
	long   = time.Minute            // a TTL that no test outlives
	tick   = 5 * time.Millisecond   // between two polls
	slack  = 3 * time.Millisecond   // clocks of a millisecond, read several times
)

// suite is a contract's hands: the operations, one element at a time, failing the test on an error.
type suite struct {
	*testing.T
	Harness
	d   dialect.Dialect
	ctx context.Context
}

// newSuite bounds all that a test asks of the database, so that a call which waits for ever fails a test and no more.
func newSuite(t *testing.T, h Harness) *suite {
	ctx, cancel := context.WithTimeout(t.Context(), 6*soon)
	t.Cleanup(cancel)
	return &suite{T: t, Harness: h, d: h.Dialect, ctx: ctx}
}

// begun is s, unless this test is to be skipped.
func (s *suite) begun() *suite {
	if s.Before != nil {
		s.Before(s.T)
	}
	return s
}

// run is a subtest of the contract; they go one after the other.
func (s *suite) run(name string, check func(*suite)) {
	s.T.Run(name, func(t *testing.T) { check(newSuite(t, s.Harness).begun()) })
}

// unique is a name, an owner or an id that nothing else has.
func unique(prefix string) string { return fmt.Sprintf("%s-%016x", prefix, rand.Uint64()) }

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%v (class %s)", err, s.d.Classify(err))
	}
}

// settle asks until the answer is not a Transient error: a deadlock or a busy database is no breach of contract.
func settle[T any](s *suite, ask func(context.Context) (T, error)) (T, error) {
	deadline := time.Now().Add(soon)
	for {
		answer, err := ask(s.ctx)
		if err == nil || s.d.Classify(err) != dialect.Transient || time.Now().After(deadline) {
			return answer, err
		}
		time.Sleep(tick)
	}
}

// ask is settle for what mustn't fail, and checks that there are as many answers as questions.
func ask[Q, A any](s *suite, f func(context.Context, []Q) ([]A, error), questions ...Q) []A {
	s.Helper()
	answers, err := settle(s, func(ctx context.Context) ([]A, error) { return f(ctx, questions) })
	s.must(err)
	if len(answers) != len(questions) {
		s.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

func (s *suite) eventually(what string, check func() bool) {
	s.Helper()
	for deadline := time.Now().Add(soon); !check(); time.Sleep(tick) {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s", what, soon)
		}
	}
}

// quickly fails the test if f takes longer than atOnce. What f asks must go through the suite that it gets.
func (s *suite) quickly(what string, f func(*suite)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, atOnce)
	defer cancel()
	hurried := *s
	hurried.ctx = ctx
	defer func() {
		if ctx.Err() != nil {
			s.Errorf("%s took longer than %s: it waited for somebody else's transaction", what, atOnce)
		}
	}()
	f(&hurried)
}

// left checks what remains of a time that the database has measured since sent, or later.
func (s *suite) left(what string, got, of time.Duration, sent time.Time) {
	s.Helper()
	if least := of - time.Since(sent) - slack; got < least || got > of+slack {
		s.Errorf("%s of %s has %s left, want between %s and that", what, of, got, least)
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
	_, err := settle(s, func(ctx context.Context) (any, error) { return nil, s.d.CreateLease(ctx, l) })
	s.must(err)
}

func (s *suite) drop(ids ...string) {
	s.Helper()
	_, err := settle(s, func(ctx context.Context) (any, error) { return nil, s.d.DeleteLeases(ctx, ids) })
	s.must(err)
}

func (s *suite) renew(id string) bool {
	s.Helper()
	return ask(s, s.d.RenewLeases, id)[0]
}

func (s *suite) bury(id string) dialect.Burial {
	s.Helper()
	return ask(s, s.d.BuryLeases, id)[0]
}

// buried waits for a lease to run out, and buries it.
func (s *suite) buried(id string) dialect.Burial {
	s.Helper()
	var b dialect.Burial
	s.eventually("lease runs out", func() bool { b = s.bury(id); return b.Dead })
	return b
}

// request asks for slot 0 of name, under a lease.
func request(name, lease string) dialect.Request {
	return dialect.Request{Key: dialect.Key{Name: name}, LeaseID: lease, Owner: unique("owner")}
}

func claim(r dialect.Request) dialect.Claim { return dialect.Claim{Key: r.Key, Owner: r.Owner} }

func orphan(r dialect.Request, fence int64) dialect.Orphan {
	return dialect.Orphan{Key: r.Key, Fence: fence, LeaseID: r.LeaseID}
}

func (s *suite) acquire(r dialect.Request) dialect.Grant {
	s.Helper()
	return ask(s, s.d.Acquire, r)[0]
}

// take acquires what must be free, and answers the fence.
func (s *suite) take(r dialect.Request) int64 {
	s.Helper()
	g := s.acquire(r)
	if !g.Granted {
		s.Fatalf("Acquire(%q, slot %d) refused; the row is %+v", r.Name, r.Slot, s.look(r.Key))
	}
	return g.Fence
}

// refused checks that a lock can't be had now.
func (s *suite) refused(r dialect.Request) {
	s.Helper()
	if g := s.acquire(r); g != (dialect.Grant{}) {
		s.Fatalf("Acquire(%q, slot %d) answered %+v, want refusal; the row is %+v", r.Name, r.Slot, g, s.look(r.Key))
	}
}

func (s *suite) release(c dialect.Claim) bool {
	s.Helper()
	return ask(s, s.d.Release, c)[0]
}

func (s *suite) free(o dialect.Orphan) bool {
	s.Helper()
	return ask(s, s.d.Free, o)[0]
}

func (s *suite) look(k dialect.Key) dialect.Row {
	s.Helper()
	return ask(s, s.d.Look, k)[0]
}

// held checks who holds the lock, and answers its row.
func (s *suite) held(r dialect.Request, fence int64) dialect.Row {
	s.Helper()
	row := s.look(r.Key)
	if !row.Held || row.Owner != r.Owner || row.LeaseID != r.LeaseID || row.Fence != fence {
		s.Fatalf("the row is %+v, want it held by %+v with fence %d", row, r, fence)
	}
	return row
}

// orphaned is a lock of a holder who has died and been buried.
func (s *suite) orphaned(r dialect.Request) (dialect.Request, dialect.Orphan) {
	s.Helper()
	r.LeaseID = s.lease(time.Millisecond)
	fence := s.take(r)
	s.buried(r.LeaseID)
	return r, orphan(r, fence)
}

// still strips what passes with time from a row, to compare two pictures of it.
func still(r dialect.Row) dialect.Row {
	r.FreeIn, r.Remaining = 0, 0
	return r
}
