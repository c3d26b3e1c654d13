package sqllock

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/sqllock/sqllock/dialect"
)

// Readers and writers of one name exclude each other by the flag principle (Herlihy and Shavit, The Art of Multiprocessor
// Programming, section 2.8): each first raises a flag of its own, and then looks at the other's. A reader's flag is a row
// of its own, so readers don't stand in each other's way; the writers' is one row, that of slotWriter, which one of them
// holds at a time. Both are locks like all others: a flag is up when its Acquire was answered, Look sees what was
// committed before, and so of a reader and a writer the later one to raise its flag sees the other's.
//
// A writer that finds readers keeps its flag up and waits for them to leave, and readers who come meanwhile go back: so
// writers don't starve. A dead one's flag comes down like any dead holder's lock, and one that is guarded stays up.
//
// Who doesn't say Shared finds out at the exclusive lock's own row whether its name has readers: the first reader takes
// that lock and leaves it barred for ever. So a name without readers costs a writer no look at all.

// hasReaders tells whether the row is the sign for that: also while the first reader holds it, since it is barred by then.
func hasReaders(row dialect.Row) bool {
	return row.Slot == slotExclusive && row.FreeIn > MaxHold
}

// takeShare takes the lock as a reader.
func (a rowAnchor) takeShare(ctx, caller context.Context, l *lease, w wish, looking bool) (*Lock, error) {
	if a.c.alone.Load() {
		l.unuse()
		return nil, fmt.Errorf("sqllock: %w: Shared() of lock %q: another server of the cluster may not have seen yet who reads and "+
			"who writes; use an exclusive lock, or Permits", ErrUnsupported, w.name)
	}
	if looking {
		if err := a.c.noWriter(ctx, l, w.name); err != nil {
			if errors.Is(err, ErrNotAcquired) { // there are such writers only where there are readers
				l.learnReaders(w.name)
			}
			l.unuse()
			return nil, err
		}
	}
	if err := a.invite(ctx, caller, l, w); err != nil {
		l.unuse()
		return nil, err
	}
	w.slot = a.c.stalls.take(w.name)
	lock, err := a.takeRow(ctx, caller, l, w, false)
	if err != nil {
		return nil, err
	}
	if err = a.c.noWriter(ctx, l, w.name); err == nil && lock.check() != nil {
		err = l.tooLate(w.name)
	}
	if err != nil {
		lock.surrender(ctx)
		return nil, err
	}
	return lock, nil
}

// meetsReaders tells whether the exclusive lock was refused because its name has readers.
func meetsReaders(err error) bool {
	held, ok := errors.AsType[*HeldError](err)
	return ok && held.readers
}

// noSemaphore refuses a name whose permits are in use.
func (c *Client) noSemaphore(ctx context.Context, name string) error {
	rows, err := c.rows(ctx, name, slotExclusive+1, MaxPermits)
	if err == nil && len(rows) > 0 {
		err = invalid("Shared() of %q: that name is in use as a semaphore, by %s; take another", name, rows[0].Holder)
	}
	return err
}

// noWriter is nil if no writer's flag is up; else the error tells whose is.
func (c *Client) noWriter(ctx context.Context, l *lease, name string) error {
	var row dialect.Row
	for range rounds {
		found := free
		_, err := c.retry(ctx, func(ctx context.Context) error {
			rows, err := c.dialect.Look(ctx, []dialect.Key{{Name: name, Slot: slotWriter}})
			if err != nil {
				return err
			}
			switch row = rows[0]; {
			case row.Held && row.Lease != dialect.LeaseLive:
				found, err = c.clear(ctx, &row) // it may be barred then: look again
			case row.Held || row.FreeIn > 0:
				found = held
			default:
				row = dialect.Row{}
			}
			return err
		})
		switch {
		case err != nil:
			return c.failed(fmt.Sprintf("looking for writers of %q", name), err)
		case row.Name == "":
			return nil
		case found != free:
			return heldError(row, l.id)
		}
	}
	return heldError(row, l.id)
}

// noReader is nil if no reader's flag is up, and the writer's own still is; else the error tells of one of those who read.
func (c *Client) noReader(ctx context.Context, lock *Lock) error {
	name := lock.Name()
	rows, err := c.rows(ctx, name, slotWriter, math.MaxInt32)
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Owner != lock.claim.Owner {
		lock.cancel(lost(name, "another took it over before all readers had left"))
		return lock.lease.tooLate(name)
	}
	var reader *HeldError
	n := 0
	for _, row := range rows {
		if row.Slot < slotReaders {
			continue
		}
		found := held
		if row.Lease != dialect.LeaseLive {
			if _, err := c.retry(ctx, func(ctx context.Context) (err error) {
				found, err = c.clear(ctx, &row)
				return err
			}); err != nil {
				return c.failed(fmt.Sprintf("freeing %q of a dead reader", name), err)
			}
		}
		if found == free {
			continue
		}
		if n++; reader == nil || row.Remaining < reader.Remaining {
			reader = heldError(row, lock.lease.id)
		}
	}
	if reader == nil {
		return nil
	}
	reader.reason = fmt.Sprintf("%d read under it (Shared), one of them: %s", n, reader.reason)
	return reader
}

// rows reads the held rows of a name in that range of slots.
func (c *Client) rows(ctx context.Context, name string, from, to int) (rows []dialect.Row, err error) {
	_, err = c.retry(ctx, func(ctx context.Context) (err error) {
		rows, err = c.rowsOf(ctx, name, from, to, true)
		return err
	})
	if err != nil {
		return nil, c.failed(fmt.Sprintf("looking at the holders of %q", name), err)
	}
	return rows, nil
}
