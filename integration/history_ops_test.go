package integration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// verb names the kind of an operation.
type verb string

const (
	took     verb = "took"     // the lock was acquired
	declined verb = "declined" // not acquired; legal at any time: others may use the row, or be ahead in the queue
	gave     verb = "released" // the lock was released for certain
	expired  verb = "expired"  // the lock is lost at some moment after the operation's call
)

// historyOp is one operation on a lock of any kind, an election, or the work of once.Do.
type historyOp struct {
	verb  verb
	id    int64 // of the acquisition
	write bool  // for an RWLock: by a writer
	slot  int   // for a semaphore: the permit
	fence int64

	key, result int64 // for once.Do: the key of the work, and its result
}

func (d historyOp) String() string {
	switch {
	case d.verb == declined:
		return string(d.verb)
	case d.key != 0:
		return fmt.Sprintf("%s #%d, key %d, result %d", d.verb, d.id, d.key, d.result)
	}
	kind := map[bool]string{true: "write "}[d.write]
	return fmt.Sprintf("%s%s #%d, slot %d, fence %d", kind, d.verb, d.id, d.slot, d.fence)
}

// describe labels an operation in porcupine's pictures.
func describe(input, _ any) string { return fmt.Sprint(input) }

// historyOps returns a model whose operations are historyOps and whose state is an S. S must be
// comparable.
func historyOps[S any](step func(S, historyOp) (S, bool)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { var s S; return s },
		Step: func(state, input, _ any) (bool, any) {
			d := input.(historyOp)
			if d.verb == declined {
				return true, state
			}
			next, legal := step(state.(S), d)
			return legal, next
		},
		DescribeOperation: describe,
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

// contextLateness bounds how late a busy machine may end the context of a lock after the last
// heartbeat that can succeed, beyond the margin that a Client keeps.
const contextLateness = 200 * time.Millisecond

// grip is an acquired lock, or the term of a leader.
type grip struct {
	ctx     context.Context
	slot    int
	fence   int64
	release func(context.Context) error
}

// hold acquires the lock, keeps it for a moment, and releases it, or crashes the client process if
// a crash is due.
func (a *historyClient) hold(d historyOp, opts ...any) {
	a.keep(d, func(ctx context.Context, locks *sqllock.Client) (grip, error) {
		take := locktest.Acquire
		if a.rand.IntN(3) == 0 {
			take = locktest.TryAcquire
		}
		lock, err := take(ctx, locks, a.name, opts...)
		if err != nil {
			return grip{}, err
		}
		return grip{lock.Context(), lock.Permit(), lock.Fence(), lock.Release}, nil
	})
}

// keep is hold for a lock that take acquires.
func (a *historyClient) keep(d historyOp, take func(context.Context, *sqllock.Client) (grip, error)) {
	locks := a.clientProcess.client()
	ctx, cancel := a.waitContext()
	defer cancel()
	call := a.now()
	g, err := take(ctx, locks)
	ret := a.now()
	switch {
	case errors.Is(err, sqllock.ErrNotAcquired):
		d.verb = declined
		a.add(a.id, call, ret, d)
		return
	case err != nil: // the client process has crashed, and nothing was acquired
		return
	}
	d.verb, d.id, d.slot, d.fence = took, a.next.Add(1), g.slot, g.fence
	a.add(a.id, call, ret, d)
	a.end(locks, g, d)
}

// waitContext returns a context that ends after a random time of up to two seconds, for a wait.
func (a *historyClient) waitContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.clientProcess.t.Context(), time.Duration(a.rand.IntN(int(2*time.Second))))
}

// end keeps g for a moment, and releases it or crashes the client process. It records which of the
// two happened. locks is the Client that acquired g.
func (a *historyClient) end(locks *sqllock.Client, g grip, d historyOp) {
	valid := a.checkValidity(g.ctx, time.Duration(a.rand.IntN(int(8*time.Millisecond))))
	if a.crashes() {
		a.clientProcess.crash()
		valid = a.checkValidity(g.ctx, never)
	}
	call := a.now()
	err := g.release(a.clientProcess.t.Context())
	if err == nil {
		d.verb = gave
		a.add(a.id, call, a.now(), d)
		return
	}
	if a.clientProcess.client() != locks {
		valid = max(valid-int64(contextLateness), 0)
	}
	d.verb = expired
	a.add(a.id, valid, never, d)
}

// checkValidity waits for d, or until the lock's context ends. It returns the last moment at which
// the context was seen alive.
func (a *historyClient) checkValidity(lock context.Context, d time.Duration) (valid int64) {
	for until := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		now := a.now()
		if lock.Err() != nil {
			return valid
		}
		valid = now
		if d != never && !time.Now().Before(until) {
			return valid
		}
	}
}
