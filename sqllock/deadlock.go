package sqllock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Deadlock detection. A process may wait and hold locks in many goroutines that have nothing to do
// with each other, so processes that wait for each other are not necessarily in a deadlock. What
// counts is an acquisition that waits while a lock is held that will be released only after it: its
// ctx comes from that lock (heldcontext.go).
//
// Once such an acquisition has waited for a while, it adds a row to a queue of its own kind, and
// then looks for a cycle. No lock is handed over in that queue, so the row costs nothing to the
// lock's own queue and to callers that hold nothing. An acquisition that waits in its process's
// local queue has a row too.
const (
	// Most waits are over by then and cost nothing. PostgreSQL's deadlock_timeout is the same.
	suspectAfter = time.Second

	// The acquisition that closes a cycle waits last. It usually gets the last ticket and sees the
	// cycle at its first check. The other checks are for rows that are written in another order.
	firstCheck = time.Second
	maxCheck   = 10 * time.Second

	// A cycle is checked again after this, so that a caller that just gave up can remove its row.
	sureAfter = 200 * time.Millisecond
)

// detector looks for a deadlock of one acquisition, for as long as it waits.
type detector struct {
	c      acquirer
	req    acquisition // of the row that says what is waited for
	holds  string      // the owner tokens of the locks that are held meanwhile
	entry  *queueEntry
	cancel context.CancelCauseFunc
	over   chan struct{} // closed when the detector has ended and its row is removed
}

// watched is await for a caller that holds locks. It returns a [*DeadlockError] if the acquisition
// is in a deadlock and is the one that has to give up.
func (a acquirer) watched(ctx context.Context, req acquisition, held []*Lock) (*Lock, error) {
	if err := a.holdsItself(req, held); err != nil {
		a.counts.deadlocks.Add(1)
		return nil, err
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &detector{c: a, req: req, holds: tokens(held), cancel: cancel, over: make(chan struct{})}
	d.req.Slot = request.WaitSlots[request.QueueSlot(req.Slot)]
	timer := time.AfterFunc(suspectAfter, func() {
		if !a.store.Spawn(func() { d.run(waiting) }) {
			close(d.over)
		}
	})
	lock, err := a.await(waiting, req)
	cancel(nil)
	if !timer.Stop() {
		select {
		case <-d.over: // otherwise its row might show a wait that is over, when others hold the lock
		case <-ctx.Done():
		}
	}
	if deadlock, ok := errors.AsType[*DeadlockError](context.Cause(waiting)); ok && err != nil {
		a.counts.deadlocks.Add(1)
		return nil, deadlock
	}
	return lock, err
}

// holdsItself returns a deadlock of the caller with itself. It does not read the database.
func (a acquirer) holdsItself(req acquisition, held []*Lock) error {
	for _, l := range held {
		if l.c == a.core && (l.claim.Key == req.Key() || l.Name() == req.Name && l.conflictsWith(req)) {
			return &DeadlockError{Name: req.Name, Cycle: []DeadlockWait{{
				Holder: a.opts.Holder, Name: req.Name, HeldBy: a.opts.Holder, Fence: l.fence,
			}}}
		}
	}
	return nil
}

// conflictsWith reports whether the holder of the lock would wait for itself if it made the
// request, which is for the same name: for instance a reader that wants to write. Only the readers
// and the writer of an RWLock can conflict in that way.
func (l *Lock) conflictsWith(req acquisition) bool {
	return request.QueueSlot(req.Slot) == request.SlotWriter && (l.writes() || l.reads() && !req.Shared)
}

// tokens returns the owner tokens of the locks, in the form in which a waiter's row has them.
func tokens(locks []*Lock) string {
	owners := make([]string, len(locks))
	for i, l := range locks {
		owners[i] = l.claim.Owner
	}
	return strings.Join(owners, " ")
}

// run checks for a deadlock from time to time, until ctx ends.
func (d *detector) run(ctx context.Context) {
	defer close(d.over)
	defer func() { d.entry.removeNow(ctx) }()
	for backoff := firstCheck; ; backoff = min(2*backoff, maxCheck) {
		deadlock, err := d.detect(ctx)
		if deadlock != nil {
			d.c.log.Warn("sqllock: deadlock", "err", deadlock)
			d.cancel(deadlock)
			return
		}
		if err != nil && ctx.Err() == nil {
			d.c.log.Debug("sqllock: checking for a deadlock failed; it will try again", "lock", d.req.Name, "err", err)
		}
		if !store.Sleep(ctx, store.Jitter(backoff)) {
			return
		}
	}
}

// detect makes sure that there is a row, and returns the deadlock for which the acquisition has to
// give up, or nil if there is none.
func (d *detector) detect(ctx context.Context) (*DeadlockError, error) {
	if !d.entry.alive() { // its lease has ended, and with it the row
		d.entry.remove()
		d.entry = nil
	}
	if d.entry == nil {
		e, err := d.c.enqueue(ctx, d.req, d.holds)
		if err != nil {
			return nil, err
		}
		d.entry = e
	}
	cycle, err := d.cycle(ctx)
	if err != nil || cycle == nil || !store.Sleep(ctx, sureAfter) {
		return nil, err
	}
	if still, err := d.still(ctx, cycle); err != nil || !still {
		return nil, err
	}
	return deadlockError(d.req.Name, cycle), nil
}

// DeadlockError describes callers that wait for each other in a circle. It is an [ErrDeadlock] and
// an [ErrNotAcquired].
type DeadlockError struct {
	Name  string         // the lock that was waited for
	Cycle []DeadlockWait // each waits for the next one, and the last for the first, which has given up
}

// DeadlockWait is one wait of a deadlock.
type DeadlockWait struct {
	Holder string    // the Options.Holder of the waiting Client
	Name   string    // the lock that it waits for
	HeldBy string    // the Client that holds that lock
	Fence  int64     // the fencing token of that lock
	Since  time.Time // when that lock was acquired, by the database's clock; zero if the waiting caller holds it itself
}

// Error describes the whole circle and says what to do.
func (e *DeadlockError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sqllock: lock %q not acquired: deadlock: ", e.Name)
	if len(e.Cycle) == 1 {
		b.WriteString("the caller holds it already, and locks are not reentrant; pass the *Lock on instead")
		return b.String()
	}
	for i, w := range e.Cycle {
		if i == 0 {
			fmt.Fprintf(&b, "%s waits for %q", w.Holder, w.Name)
		} else {
			fmt.Fprintf(&b, ", which waits for %q", w.Name)
		}
		fmt.Fprintf(&b, " held by %s with fence %d", w.HeldBy, w.Fence)
	}
	b.WriteString("; release what you hold and begin again, and take locks in the same order everywhere, " +
		"or all with AcquireAll")
	return b.String()
}

// Is reports whether target is [ErrDeadlock] or [ErrNotAcquired].
func (e *DeadlockError) Is(target error) bool {
	return target == ErrDeadlock || target == ErrNotAcquired
}

// blocked is one edge of the graph: a waiter, and the row of the lock that it waits for.
type blocked struct {
	waiter dialect.Waiting
	row    dialect.Row
}

func deadlockError(name string, cycle []blocked) *DeadlockError {
	e := &DeadlockError{Name: name}
	for _, b := range cycle {
		e.Cycle = append(e.Cycle, DeadlockWait{
			Holder: b.waiter.Holder, Name: b.waiter.Name,
			HeldBy: b.row.Holder, Fence: b.row.Fence, Since: b.row.AcquiredAt,
		})
	}
	return e
}

// waitersPage is the number of waiters that one statement reads.
const waitersPage = 500

// waiters reads the waiters that hold something.
func (d *detector) waiters(ctx context.Context) (all []dialect.Waiting, err error) {
	for after := int64(0); ; {
		var page []dialect.Waiting
		if err = ctx.Err(); err == nil {
			page, err = d.c.store.WaitingHolders(d.c.store.Operation(ctx), after, waitersPage)
		}
		if err != nil {
			return nil, err
		}
		for _, w := range page {
			if _, known := waitsFor[w.Slot]; known {
				all = append(all, w)
			}
		}
		if len(page) < waitersPage {
			return all, nil
		}
		after = page[waitersPage-1].Ticket
	}
}

// waitsFor maps the slot of a queue for deadlock detection to the slot of the rows that its waiters
// wait for.
var waitsFor = func() map[int]int {
	slots := make(map[int]int, len(request.WaitSlots))
	for slot, queue := range request.WaitSlots {
		slots[queue] = slot
	}
	return slots
}()

// rows reads the locks that the waiters wait for.
func (d *detector) rows(ctx context.Context, waiters []dialect.Waiting) ([]dialect.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys := make([]dialect.Key, len(waiters))
	for i, w := range waiters {
		keys[i] = dialect.Key{Name: w.Name, Slot: waitsFor[w.Slot]}
	}
	return d.c.store.Get(d.c.store.Operation(ctx), keys)
}

// cycle finds a path from the detector's own row back to it, over waiters with smaller tickets
// only. It returns nil if there is none. So exactly one waiter finds each cycle: the last one to
// come, which gives up.
//
// A waiter is blocked by every waiter that holds the lock it waits for: a lock is released when
// everything that is done under it has ended. So any cycle is a deadlock.
func (d *detector) cycle(ctx context.Context) ([]blocked, error) {
	waiters, err := d.waiters(ctx)
	if err != nil {
		return nil, err
	}
	me := slices.IndexFunc(waiters, func(w dialect.Waiting) bool { return w.Owner == d.entry.request.Owner })
	if me < 0 {
		return nil, nil
	}
	holders := make(map[string][]dialect.Waiting) // by the owner token of what they hold
	for _, w := range waiters {
		if w.Ticket <= waiters[me].Ticket {
			for token := range strings.FieldsSeq(w.Holds) {
				holders[token] = append(holders[token], w)
			}
		}
	}
	return d.findPath(ctx, waiters[me], holders)
}

// findPath searches from one waiter to those that block it and so on, breadth first.
func (d *detector) findPath(
	ctx context.Context, me dialect.Waiting, holders map[string][]dialect.Waiting,
) ([]blocked, error) {
	seen := make(map[string]bool)
	level, paths := []dialect.Waiting{me}, [][]blocked{nil} // waiters, and the paths to them
	for len(level) > 0 {
		rows, err := d.rows(ctx, level)
		if err != nil {
			return nil, err
		}
		var next []dialect.Waiting
		var nextPaths [][]blocked
		for i, row := range rows {
			if !blocks(row) {
				continue
			}
			path := append(slices.Clip(paths[i]), blocked{level[i], row})
			for _, w := range holders[row.Owner] {
				if w.Owner == me.Owner {
					return path, nil
				}
				if !seen[w.Owner] {
					seen[w.Owner] = true
					next, nextPaths = append(next, w), append(nextPaths, path)
				}
			}
		}
		level, paths = next, nextPaths
	}
	return nil, nil
}

// blocks reports whether a live holder has the lock. A dead holder's lock will be freed.
func blocks(row dialect.Row) bool { return row.Held && row.Lease == dialect.LeaseLive }

// still reports whether the whole cycle is still there, in a second reading that begins after the
// first one has ended.
//
// That proves the deadlock, although neither reading is of a single moment. A waiter's owner token
// and ticket occur once, so a waiter whose row was seen twice was waiting for all the time between
// the two reads of it. A lock's fence occurs once, so a lock that was seen twice under one owner
// belonged to that owner for all that time. Between the end of the first reading and the beginning
// of the second there is a moment that lies within all these times. At that moment, every waiter in
// the cycle waited for a lock that the next one held and will hold until its own wait has ended.
// None of them can go on unless one gives up.
func (d *detector) still(ctx context.Context, cycle []blocked) (bool, error) {
	waiters, err := d.waiters(ctx)
	if err != nil {
		return false, err
	}
	var wait []dialect.Waiting
	for _, b := range cycle {
		same := func(w dialect.Waiting) bool { return w.Owner == b.waiter.Owner && w.Ticket == b.waiter.Ticket }
		if !slices.ContainsFunc(waiters, same) {
			return false, nil
		}
		wait = append(wait, b.waiter)
	}
	rows, err := d.rows(ctx, wait)
	if err != nil {
		return false, err
	}
	for i, row := range rows {
		if before := cycle[i].row; !blocks(row) || row.Owner != before.Owner || row.Fence != before.Fence {
			return false, nil
		}
	}
	return true, nil
}
