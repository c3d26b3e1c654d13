package sqllock

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// State is the state of a listed lock.
type State string

// The states of a lock in a list.
const (
	StateHeld    State = "held"    // its holder is alive
	StateExpired State = "expired" // its holder's lease has expired, so the next caller gets it
	StateBarred  State = "barred"  // nobody holds it, and it can't be taken yet (HoldAtLeast, LockDelay)
	StateFree    State = "free"    // nobody holds it
)

// Info describes a lock as it was when the database was read.
type Info struct {
	Name      string        // the lock's name
	Kind      Kind          // the kind of lock
	Permit    int           // which permit of a semaphore, from 0; 0 for all other locks
	Shared    bool          // its holder is a reader of an RWLock
	State     State         // whether it is held
	Holder    string        // the holder's Options.Holder; empty if unknown
	Note      string        // the note of the last acquisition (WithNote)
	Fence     int64         // the fencing token of the last acquisition
	Since     time.Time     // when it was acquired, by the database's clock
	Remaining time.Duration // until the lease expires, unless renewed; or until the lock can be taken
	Heartbeat time.Duration // how long ago the holder renewed its lease; 0 unless it is alive
}

// listPage is the number of locks that one statement reads.
const listPage = 500

// Locks lists the locks that are held, by any process, in the order of their names. It includes
// locks whose holder is dead and that the reaper has not freed yet. It reads the database page by
// page during the iteration, so different pages show different moments. An error ends the
// iteration.
func (c *Client) Locks(ctx context.Context) iter.Seq2[Info, error] {
	return lister{c.core}.list(ctx, true)
}

// AllLocks lists the locks that [Client.Locks] lists, and the free locks whose rows the reaper has
// not purged yet.
func (c *Client) AllLocks(ctx context.Context) iter.Seq2[Info, error] {
	return lister{c.core}.list(ctx, false)
}

// lister reads who holds which lock.
type lister struct{ *core }

func (l lister) list(ctx context.Context, heldOnly bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := l.checkTables("listing locks"); err != nil {
			yield(Info{}, err)
			return
		}
		for rows, err := range l.pages(ctx, heldOnly) {
			if err != nil {
				yield(Info{}, l.store.failed("listing locks", err))
				return
			}
			for _, row := range rows {
				if request.IsMember(row) {
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
func (l lister) pages(ctx context.Context, heldOnly bool) iter.Seq2[[]dialect.Row, error] {
	return func(yield func([]dialect.Row, error) bool) {
		for after := (dialect.Key{}); ; {
			rows, err := l.store.List(ctx, after, heldOnly, listPage)
			if !yield(rows, err) || err != nil || len(rows) < listPage {
				return
			}
			after = rows[len(rows)-1].Key
		}
	}
}

func info(row dialect.Row) Info {
	i := Info{
		Name: row.Name, Kind: kindOfSlot(row.Slot), Shared: row.Slot >= request.SlotReaders,
		Holder: row.Holder, Note: row.Note, Fence: row.Fence,
		Since: row.AcquiredAt, Remaining: max(row.Remaining, 0),
	}
	if i.Kind == KindSemaphore {
		i.Permit = row.Slot - request.SlotPermits
	}
	switch {
	case row.Held && row.Lease == dialect.LeaseLive:
		i.State, i.Heartbeat = StateHeld, max(row.TTL-row.Remaining, 0)
	case row.Held:
		i.State = StateExpired
	case row.FreeIn > 0:
		i.State, i.Remaining = StateBarred, row.FreeIn
	default:
		i.State = StateFree
	}
	return i
}

// Inspect reads the exclusive lock of that name ([Client.Acquire]), no matter which process holds
// it. The lock may have changed when Inspect returns. A lock that was never taken is [StateFree]
// and has fence 0. For the other kinds see [Client.Holders], [RWLock.Holders] and
// [Semaphore.Holders], and for an election its Leader. Inspect blocks until the database has
// answered or ctx ends.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	if err := c.checkInspect(name); err != nil {
		return Info{}, err
	}
	rows, err := c.store.Rows(ctx, dialect.Key{Name: name, Slot: request.SlotExclusive})
	if err != nil {
		return Info{}, c.store.failed(fmt.Sprintf("reading lock %q", name), err)
	}
	return info(rows[0]), nil
}

// Holders returns the holders of all locks of that name, of any kind, including those whose leases
// have expired and that the reaper has not removed yet. It blocks until the database has answered
// or ctx ends.
func (c *Client) Holders(ctx context.Context, name string) ([]Info, error) {
	return lister{c.core}.infos(ctx, name, request.SlotExclusive, math.MaxInt32)
}

// infos lists the held locks of a name whose slot is at least from and less than to.
func (l lister) infos(ctx context.Context, name string, from, to int) ([]Info, error) {
	if err := l.checkInspect(name); err != nil {
		return nil, err
	}
	rows, err := l.rows(ctx, name, from, to)
	infos := make([]Info, len(rows))
	for i, row := range rows {
		infos[i] = info(row)
	}
	return infos, err
}

// checkInspect returns an error if there can't be a row of that name.
func (c *core) checkInspect(name string) error {
	if err := c.checkTables(fmt.Sprintf("lock %q", name)); err != nil {
		return err
	}
	return CheckName(name)
}

func (c *core) checkTables(what string) error {
	if c.opts.WithoutTables {
		return fmt.Errorf("sqllock: %w: %s: this Client was made WithoutTables, and sees no lease locks",
			ErrUnsupported, what)
	}
	return nil
}

// rowsOf reads the rows of a name whose slot is at least from and less than to.
func (l lister) rowsOf(ctx context.Context, name string, from, to int, heldOnly bool) ([]dialect.Row, error) {
	var found []dialect.Row
	after := dialect.Key{Name: name, Slot: from - 1}
	for page := min(aFew, to-from); ; page = listPage {
		rows, err := l.store.List(ctx, after, heldOnly, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Name != name || row.Slot >= to {
				return found, nil
			}
			l.expiry.Correct(&row)
			found = append(found, row)
			after = row.Key
		}
		if len(rows) < page || len(found) == to-from {
			return found, nil
		}
	}
}
