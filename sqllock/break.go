package sqllock

import (
	"context"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
)

// Inspect looks at one lock, whoever holds it: a picture of a moment that has passed. A lock that was never taken is Free,
// with a fence of 0. Session locks are not seen: they have no row. It blocks until the database has answered or ctx ends.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	row, err := c.inspect(ctx, name)
	if err != nil {
		return Info{}, err
	}
	return info(row), nil
}

func (c *Client) inspect(ctx context.Context, name string) (dialect.Row, error) {
	if err := CheckName(name); err != nil {
		return dialect.Row{}, err
	}
	if c.opts.WithoutTables {
		return dialect.Row{}, fmt.Errorf("sqllock: %w: lock %q: this Client was made WithoutTables, and sees no lease locks",
			ErrUnsupported, name)
	}
	var row dialect.Row
	_, err := c.retry(ctx, func(ctx context.Context) error {
		rows, err := c.dialect.Look(ctx, []dialect.Key{{Name: name}})
		if err == nil {
			row = rows[0]
		}
		return err
	})
	if err != nil {
		return dialect.Row{}, c.failed(fmt.Sprintf("looking at lock %q", name), err)
	}
	return row, nil
}

// Break takes a lease lock away from its holder, alive or dead: for a person who has looked at the holder (Inspect,
// Locks) and knows that it must not go on. It names the fence that was seen, so that it breaks that acquisition and no
// other: if that is over the error is ErrNotHeld, and nothing was changed. It answers what the lock was, for the record;
// the Logger gets it too. It waits behind a transaction that the holder guards, until ctx ends.
//
// The lock is free at once, and no LockDelay applies. The holder isn't told: Lock.Guard and Release answer ErrLost from
// now on, but Lock.Context doesn't end by itself, since the holder's lease lives, and its other locks with it.
func (c *Client) Break(ctx context.Context, name string, fence int64) (Info, error) {
	row, err := c.inspect(ctx, name)
	if err != nil {
		return Info{}, err
	}
	over := fmt.Errorf("sqllock: %w: %q is not held with fence %d any more; look again", ErrNotHeld, name, fence)
	if !row.Held || row.Fence != fence {
		return info(row), over
	}
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
	c.freed(place{name: name})
	return info(row), nil
}
