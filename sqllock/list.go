package sqllock

import (
	"context"
	"iter"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// State is what a listed lock was found to be.
type State string

// The states of a lock in a list.
const (
	Held    State = "held"    // its holder lives
	Expired State = "expired" // its holder's lease has run out: the next who wants it gets it
	Barred  State = "barred"  // nobody holds it, and it may not be taken yet (HoldAtLeast, LockDelay)
	Free    State = "free"    // nobody holds it
)

// Info is a lock as a list shows it: a picture of a moment that has passed.
type Info struct {
	Name      string        // the lock's
	Slot      int           // which permit of a semaphore; 0 for all other locks
	Shared    bool          // its holder reads (Shared)
	Use       string        // what it serves, if that isn't said by the above: "once", "election" …
	State     State         // what it was found to be
	Holder    string        // as its Client was named (Options.Holder); empty where it isn't known
	Note      string        // what the last acquisition said of itself (WithNote)
	Fence     int64         // of the last acquisition
	Since     time.Time     // when it was taken, by the database's clock
	Remaining time.Duration // until the lease runs out, unless it is renewed; or until the lock may be taken
}

// listPage is how many locks one statement reads.
const listPage = 500

// Locks lists the locks that are held, or whose holder is dead and not yet reaped, in the order of their names,
// whoever holds them. It asks the database page by page as it is ranged over, so no snapshot spans two pages; an
// error ends it.
func (c *Client) Locks(ctx context.Context) iter.Seq2[Info, error] {
	return c.list(ctx, true)
}

// AllLocks is Locks, and those that are free: whose rows the reaper hasn't purged yet.
func (c *Client) AllLocks(ctx context.Context) iter.Seq2[Info, error] {
	return c.list(ctx, false)
}

func (c *Client) list(ctx context.Context, heldOnly bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := c.checkTables("listing locks"); err != nil {
			yield(Info{}, err)
			return
		}
		for rows, err := range c.pages(ctx, heldOnly) {
			if err != nil {
				yield(Info{}, c.failed("listing locks", err))
				return
			}
			for _, row := range rows {
				if isSign(row) {
					continue
				}
				if !yield(info(row), nil) {
					return
				}
			}
		}
	}
}

// pages reads the lock rows page by page.
func (c *Client) pages(ctx context.Context, heldOnly bool) iter.Seq2[[]dialect.Row, error] {
	return func(yield func([]dialect.Row, error) bool) {
		for after := (dialect.Key{}); ; {
			rows, err := c.dialect.List(ctx, after, heldOnly, listPage)
			if !yield(rows, err) || err != nil || len(rows) < listPage {
				return
			}
			after = rows[len(rows)-1].Key
		}
	}
}

func info(row dialect.Row) Info {
	i := Info{
		Name: row.Name, Shared: row.Slot >= slotReaders, Use: useOfRow(row), Holder: row.Holder, Note: row.Note, Fence: row.Fence,
		Since: row.AcquiredAt, Remaining: max(row.Remaining, 0),
	}
	if row.Slot < MaxPermits {
		i.Slot = row.Slot
	}
	switch {
	case row.Held && row.Lease == dialect.LeaseLive:
		i.State = Held
	case row.Held:
		i.State = Expired
	case row.FreeIn > 0:
		i.State, i.Remaining = Barred, row.FreeIn
	default:
		i.State = Free
	}
	return i
}
