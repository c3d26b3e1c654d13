package sqllock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sqllock/sqllock/dialect"
)

// Inspect looks at one lock, whoever holds it: a picture of a moment that has passed. A lock that was never taken is Free,
// with a fence of 0. Of a semaphore it shows permit 0, and of a lock that is shared the writer, or one of those who read:
// Holders tells of all. Session locks are not seen: they have no row. It blocks until the database has answered or ctx ends.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	row, err := c.inspect(ctx, name)
	if err != nil {
		return Info{}, err
	}
	return info(row), nil
}

func (c *Client) inspect(ctx context.Context, name string) (dialect.Row, error) {
	if err := c.checkInspect(name); err != nil {
		return dialect.Row{}, err
	}
	rows, err := c.look(ctx, name, slotExclusive, slotWriter)
	if err != nil {
		return dialect.Row{}, c.failed(fmt.Sprintf("looking at lock %q", name), err)
	}
	exclusive, writer := rows[0], rows[1]
	switch {
	case writer.Held:
		return writer, nil
	case !hasReaders(exclusive):
		return exclusive, nil
	}
	readers, err := c.rows(ctx, name, slotReaders, math.MaxInt32)
	if err != nil || len(readers) == 0 {
		return writer, err
	}
	return readers[0], nil
}

// Holders lists all who hold the lock of that name, or whose leases have run out and were not reaped yet: the permits of a
// semaphore, those who read or write, and what stands for the name besides (Info.Use). It blocks until the database has
// answered or ctx ends.
func (c *Client) Holders(ctx context.Context, name string) ([]Info, error) {
	rows, err := c.holders(ctx, name)
	infos := make([]Info, len(rows))
	for i, row := range rows {
		infos[i] = info(row)
	}
	return infos, err
}

func (c *Client) holders(ctx context.Context, name string) ([]dialect.Row, error) {
	if err := c.checkInspect(name); err != nil {
		return nil, err
	}
	return c.rows(ctx, name, slotExclusive, math.MaxInt32)
}

// look reads rows of that name, in the order of slots.
func (c *Client) look(ctx context.Context, name string, slots ...int) (rows []dialect.Row, err error) {
	keys := make([]dialect.Key, len(slots))
	for i, slot := range slots {
		keys[i] = dialect.Key{Name: name, Slot: slot}
	}
	_, err = c.retry(ctx, func(ctx context.Context) (err error) {
		rows, err = c.dialect.Look(ctx, keys)
		return err
	})
	return rows, err
}

// checkInspect refuses what there can't be a row of.
func (c *Client) checkInspect(name string) error {
	if err := c.checkTables(fmt.Sprintf("lock %q", name)); err != nil {
		return err
	}
	return CheckName(name)
}

func (c *Client) checkTables(what string) error {
	if c.opts.WithoutTables {
		return fmt.Errorf("sqllock: %w: %s: this Client was made WithoutTables, and sees no lease locks", ErrUnsupported, what)
	}
	return nil
}

// Break takes a lease lock away from its holder, alive or dead: for a person who has looked at the holder (Inspect,
// Locks) and knows that it must not go on. It names the fence that was seen, so that it breaks that acquisition and no
// other: if that is over the error is ErrNotHeld, and nothing was changed. It answers what the lock was, for the record;
// the Logger gets it too. It waits behind a transaction that the holder guards, until ctx ends.
//
// The lock is free at once, unless HoldAtLeast bars it yet, and no LockDelay applies. The holder isn't told: Lock.Guard and Release answer ErrLost from
// now on, but Lock.Context doesn't end by itself, since the holder's lease lives, and its other locks with it.
func (c *Client) Break(ctx context.Context, name string, fence int64) (Info, error) {
	rows, err := c.holders(ctx, name)
	if err != nil {
		return Info{}, err
	}
	rows = slices.DeleteFunc(rows, func(row dialect.Row) bool { return row.Fence != fence })
	over := fmt.Errorf("sqllock: %w: %q is not held with fence %d any more; look again", ErrNotHeld, name, fence)
	switch len(rows) {
	case 0:
		i, err := c.Inspect(ctx, name)
		return i, errors.Join(over, err)
	case 1:
	default: // two who read, say, in one microsecond
		return info(rows[0]), invalid("Break of lock %q: %d hold it with fence %d, and which is meant can't be told", name, len(rows), fence)
	}
	row := rows[0]
	var broken []bool
	// The owner token of the row is unique to that acquisition: a release that names it frees that one or nothing.
	unsure, err := c.retry(ctx, func(ctx context.Context) error {
		broken, err = c.dialect.Release(ctx, []dialect.Claim{{Key: row.Key, Owner: row.Owner}})
		return err
	})
	switch {
	case err != nil:
		return info(row), c.failed(fmt.Sprintf("breaking lock %q", name), err)
	case !broken[0] && !unsure: // unsure: the try whose reply was lost may have done it, and if not, it is over all the same
		return info(row), over
	}
	c.log.Warn("sqllock: a lock was broken", "lock", name, "holder", row.Holder, "note", row.Note, "fence", fence,
		"since", row.AcquiredAt, "by", c.opts.Holder)
	c.freed(term{}.place(row.Key))
	return info(row), nil
}
