package sqllock

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// DeadlockError tells who waits for whom in a circle. It is an ErrDeadlock and an ErrNotAcquired.
type DeadlockError struct {
	Name  string         // of the lock that was waited for
	Cycle []DeadlockWait // each waits for the one behind it and the last for the first, who has given up
}

// DeadlockWait is one wait of a deadlock.
type DeadlockWait struct {
	Holder string    // who waits, as its Client is named (Options.Holder)
	Name   string    // for this lock
	HeldBy string    // the Client that holds it
	Fence  int64     // of what that one holds
	Since  time.Time // when that one took it, by the database's clock; zero where the caller holds it himself
}

// Error tells the whole circle, and what to do.
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
	b.WriteString("; release what you hold and begin again, and take locks in the same order everywhere, or all with AcquireAll")
	return b.String()
}

// Is makes errors.Is(err, ErrDeadlock) and errors.Is(err, ErrNotAcquired) true.
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
			Holder: b.waiter.Holder, Name: b.waiter.Name, HeldBy: b.row.Holder, Fence: b.row.Fence, Since: b.row.AcquiredAt,
		})
	}
	return e
}

// waitersPage is how many waiters one statement reads.
const waitersPage = 500

// waiters reads who waits and holds something.
func (x *watch) waiters(ctx context.Context) (all []dialect.Waiting, err error) {
	for after := int64(0); ; {
		var page []dialect.Waiting
		if err = ctx.Err(); err == nil {
			page, err = x.c.dialect.Holding(x.c.operation(ctx), after, waitersPage)
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

// waitsFor are the rows that those wait for who stand in such a queue: of the two, the second where it is held.
var waitsFor = map[int][2]int{
	slotWaits:     {slotExclusive, slotWriter}, // the writers' where a name has readers
	slotWaitsOnce: {slotOnce, slotOnce},
}

// rows reads the locks that they wait for.
func (x *watch) rows(ctx context.Context, waiters []dialect.Waiting) ([]dialect.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := len(waiters)
	keys := make([]dialect.Key, 2*n)
	for i, w := range waiters {
		slots := waitsFor[w.Slot]
		keys[i], keys[n+i] = dialect.Key{Name: w.Name, Slot: slots[0]}, dialect.Key{Name: w.Name, Slot: slots[1]}
	}
	rows, err := x.c.dialect.Look(x.c.operation(ctx), keys)
	if err != nil {
		return nil, err
	}
	for i := range waiters {
		if rows[n+i].Held {
			rows[i] = rows[n+i]
		}
	}
	return rows[:n], nil
}

// cycle finds a way from x's own row back to it, over waiters with smaller tickets only. Nil: there is none. So of every cycle
// there is one who finds it, the one that came last, and that one gives up.
//
// A waiter is blocked by all who hold what it waits for and wait themselves: a lock is let go when all that is done under it
// has ended. So any cycle is a deadlock.
func (x *watch) cycle(ctx context.Context) ([]blocked, error) {
	waiters, err := x.waiters(ctx)
	if err != nil {
		return nil, err
	}
	me := slices.IndexFunc(waiters, func(w dialect.Waiting) bool { return w.Owner == x.seat.request.Owner })
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
	return x.wayBack(ctx, waiters[me], holders)
}

// wayBack goes from one waiter to those that block it, and so on, all that are as far away at once.
func (x *watch) wayBack(ctx context.Context, me dialect.Waiting, holders map[string][]dialect.Waiting) ([]blocked, error) {
	seen := make(map[string]bool)
	level, ways := []dialect.Waiting{me}, [][]blocked{nil} // and how they were reached
	for len(level) > 0 {
		rows, err := x.rows(ctx, level)
		if err != nil {
			return nil, err
		}
		var next []dialect.Waiting
		var further [][]blocked
		for i, row := range rows {
			if !blocks(row) {
				continue
			}
			way := append(slices.Clip(ways[i]), blocked{level[i], row})
			for _, w := range holders[row.Owner] {
				if w.Owner == me.Owner {
					return way, nil
				}
				if !seen[w.Owner] {
					seen[w.Owner] = true
					next, further = append(next, w), append(further, way)
				}
			}
		}
		level, ways = next, further
	}
	return nil, nil
}

// blocks tells whether somebody alive holds the lock: a dead one's will be freed.
func blocks(row dialect.Row) bool { return row.Held && row.Lease == dialect.LeaseLive }

// still tells whether the whole cycle is there yet, in a reading that begins after the one that found it has ended.
//
// That proves the deadlock, though neither reading is of one moment. A waiter's owner token and ticket come once, so whose row
// was seen twice was waiting all the time between the two looks at it; a lock's fence comes once, so what was seen twice under one
// owner was that owner's all the time. Between the end of the first reading and the begin of the second is a moment that lies in
// all these times: then, everybody in the cycle waited for a lock that the next one held, and will hold until its own wait
// has ended. None of them can go on, unless one gives up.
func (x *watch) still(ctx context.Context, cycle []blocked) (bool, error) {
	waiters, err := x.waiters(ctx)
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
	rows, err := x.rows(ctx, wait)
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
