package integration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sqllock/sqllock/sqllock"
)

// verb is what was done.
type verb string

const (
	took     verb = "took"
	declined verb = "declined" // may happen at any time: somebody may be at the row, or have asked before
	gave     verb = "gave"     // back, for certain
	expired  verb = "expired"  // the lock is gone by itself, or will be, at some moment from its call on
)

// deed is one operation on a lock of any kind, an election, or the work of Once.
type deed struct {
	verb  verb
	id    int64 // of the acquisition
	write bool  // of a shared lock
	slot  int   // of a semaphore
	fence int64

	key, result int64 // of Once: the work, and what was answered
}

func (d deed) String() string {
	switch {
	case d.verb == declined:
		return string(d.verb)
	case d.key != 0:
		return fmt.Sprintf("%s #%d, key %d, result %d", d.verb, d.id, d.key, d.result)
	}
	kind := map[bool]string{true: "write "}[d.write]
	return fmt.Sprintf("%s%s #%d, slot %d, fence %d", kind, d.verb, d.id, d.slot, d.fence)
}

// describe is for porcupine's pictures.
func describe(input, _ any) string { return fmt.Sprint(input) }

// deeds is a model of deeds whose state is an S, which can be compared.
func deeds[S any](step func(S, deed) (S, bool)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { var s S; return s },
		Step: func(state, input, _ any) (bool, any) {
			d := input.(deed)
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

// tardy is how late a busy machine may be, beyond the margin that a Client keeps, in ending the context of a lock when no
// heartbeat succeeds any more.
const tardy = 200 * time.Millisecond

// grip is a lock, or what is one, that was taken.
type grip struct {
	ctx     context.Context
	slot    int
	fence   int64
	release func(context.Context) error
}

// hold takes the lock, keeps it for a moment, and lets it go: by a release, or, where it is time for that, by a crash.
func (a *actor) hold(d deed, opts ...sqllock.Option) {
	a.keep(d, func(ctx context.Context, locks *sqllock.Client) (grip, error) {
		take := locks.Acquire
		if a.rand.IntN(3) == 0 {
			take = locks.TryAcquire
		}
		lock, err := take(ctx, a.name, opts...)
		if err != nil {
			return grip{}, err
		}
		return grip{lock.Context(), lock.Slot(), lock.Fence(), lock.Release}, nil
	})
}

// keep is hold of what take takes.
func (a *actor) keep(d deed, take func(context.Context, *sqllock.Client) (grip, error)) {
	locks := a.station.client()
	ctx, cancel := a.soon()
	defer cancel()
	call := a.now()
	g, err := take(ctx, locks)
	ret := a.now()
	switch {
	case errors.Is(err, sqllock.ErrNotAcquired):
		d.verb = declined
		a.add(a.id, call, ret, d)
		return
	case err != nil: // its station has crashed: nothing was taken
		return
	}
	d.verb, d.id, d.slot, d.fence = took, a.next.Add(1), g.slot, g.fence
	a.add(a.id, call, ret, d)
	a.end(locks, g, d)
}

// soon ends when the actor has waited for long enough.
func (a *actor) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.station.t.Context(), time.Duration(a.rand.IntN(int(2*time.Second))))
}

// end lets go of what was taken by that Client.
func (a *actor) end(locks *sqllock.Client, g grip, d deed) {
	trusted := a.trust(g.ctx, time.Duration(a.rand.IntN(int(8*time.Millisecond))))
	if a.crashes() {
		a.station.crash()
		trusted = a.trust(g.ctx, never)
	}
	call := a.now()
	err := g.release(a.station.t.Context())
	if err == nil {
		d.verb = gave
		a.add(a.id, call, a.now(), d)
		return
	}
	if a.station.client() != locks {
		trusted = max(trusted-int64(tardy), 0)
	}
	d.verb = expired
	a.add(a.id, trusted, never, d)
}

// trust waits for so long, or until the lock of that context can't be trusted any more, and answers when it still could.
func (a *actor) trust(lock context.Context, d time.Duration) (trusted int64) {
	for until := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		now := a.now()
		if lock.Err() != nil {
			return trusted
		}
		trusted = now
		if d != never && !time.Now().Before(until) {
			return trusted
		}
	}
}
