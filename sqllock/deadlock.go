package sqllock

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Deadlocks. A process may wait and hold locks in many goroutines that have nothing to do with each other, so that processes
// wait for each other is no deadlock. What counts is an acquisition that waits while something is held which is let go only
// after it: its ctx comes from that lock (holding.go). Such an acquisition writes a row, once it has waited for a while, in a
// queue of its own kind: nothing is handed over there, so it costs neither the lock's queue anything nor those who hold
// nothing, and one that stands in the line of its process has a row too. Then it looks for a cycle (cycle.go).
const (
	suspectAfter = time.Second // most waits are over by then, and cost nothing; PostgreSQL's deadlock_timeout is the same

	// Who closes a cycle waits last, mostly gets the last ticket, and sees the cycle when it looks first. The other looks are
	// for what comes in another order.
	firstLook = time.Second
	maxLook   = 10 * time.Second

	sureAfter = 200 * time.Millisecond // a cycle is looked at again, so that who has just given up can take his row out
)

// watch looks for a deadlock that one acquisition is in, for as long as it waits.
type watch struct {
	c      *Client
	w      wish   // for the row that says what is waited for
	holds  string // the owner tokens of what is held meanwhile
	seat   *seat
	giveUp context.CancelCauseFunc
	over   chan struct{} // closed when it looks no more, and its row is out
}

// watched is await while those locks are held. It ends with a *DeadlockError when it is in a deadlock, and others are to go on.
func (c *Client) watched(ctx context.Context, w wish, held []*Lock) (*Lock, error) {
	if err := c.holdsItself(w, held); err != nil {
		return nil, err
	}
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	x := &watch{c: c, w: w, holds: tokens(held), giveUp: giveUp, over: make(chan struct{})}
	if x.w.slot = slotWaits; w.slot == slotOnce {
		x.w.slot = slotWaitsOnce
	}
	timer := time.AfterFunc(suspectAfter, func() {
		if !c.spawn(func() { x.run(waiting) }) {
			close(x.over)
		}
	})
	lock, err := c.await(waiting, w)
	giveUp(nil)
	if !timer.Stop() {
		select {
		case <-x.over: // else its row might tell of a wait that is over, when others hold what it has waited for
		case <-ctx.Done():
		}
	}
	if deadlock, ok := errors.AsType[*DeadlockError](context.Cause(waiting)); ok && err != nil {
		return nil, deadlock
	}
	return lock, err
}

// holdsItself finds the shortest deadlock, for which no look at the database is needed.
func (c *Client) holdsItself(w wish, held []*Lock) error {
	for _, l := range held {
		if l.c == c && (l.claim.Key == w.key() || l.Name() == w.name && l.bars(w)) {
			return &DeadlockError{Name: w.name, Cycle: []DeadlockWait{{
				Holder: c.opts.Holder, Name: w.name, HeldBy: c.opts.Holder, Fence: l.fence,
			}}}
		}
	}
	return nil
}

// bars tells whether whoever holds the lock waits for himself if he wants what the wish, of the same name, is for: as a reader who
// wants to write. The work of Once has nothing to do with who reads and writes.
func (l *Lock) bars(w wish) bool {
	return w.shared && l.writes() || w.mayWrite() && (l.writes() || l.reads())
}

// tokens are the owners of locks, as a waiter's row has them.
func tokens(locks []*Lock) string {
	owners := make([]string, len(locks))
	for i, l := range locks {
		owners[i] = l.claim.Owner
	}
	return strings.Join(owners, " ")
}

// run looks from time to time, until ctx ends.
func (x *watch) run(ctx context.Context) {
	defer close(x.over)
	defer func() { x.seat.leaveNow(ctx) }()
	for pause := firstLook; ; pause = min(2*pause, maxLook) {
		deadlock, err := x.look(ctx)
		if deadlock != nil {
			x.c.log.Warn("sqllock: deadlock", "err", deadlock)
			x.giveUp(deadlock)
			return
		}
		if err != nil && ctx.Err() == nil {
			x.c.log.Debug("sqllock: looking for a deadlock failed; it will try again", "lock", x.w.name, "err", err)
		}
		if !nap(ctx, jitter(pause)) {
			return
		}
	}
}

// look makes sure that there is a row, and finds the deadlock that x is to give up for; nil: none.
func (x *watch) look(ctx context.Context) (*DeadlockError, error) {
	if !x.seat.lives() { // its lease has ended, and with it the row
		x.seat.leave()
		x.seat = nil
	}
	if x.seat == nil {
		s, err := x.c.sit(ctx, x.w, x.holds)
		if err != nil {
			return nil, err
		}
		x.seat = s
	}
	cycle, err := x.cycle(ctx)
	if err != nil || cycle == nil || !nap(ctx, sureAfter) {
		return nil, err
	}
	if still, err := x.still(ctx, cycle); err != nil || !still {
		return nil, err
	}
	return deadlockError(x.w.name, cycle), nil
}
