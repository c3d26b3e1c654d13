package sqllock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/sqllock/sqllock/dialect"
)

// guess is the wish for one permit, whichever: where many are free it mostly is.
func (w wish) guess() wish {
	if w.semaphore {
		w.slot = rand.N(w.permits)
	}
	return w
}

// takePermit takes the permit that was guessed, or one that it finds free. Each is a lock of its own, whose row decides.
func (a rowAnchor) takePermit(ctx, caller context.Context, l *lease, w wish, looking bool) (lock *Lock, err error) {
	if !looking {
		lock, err = a.takeRow(ctx, caller, l, w, false)
		if !errors.Is(err, ErrNotAcquired) || !l.use() {
			return lock, err
		}
	}
	w.sent = nil
	for range rounds {
		open, held, failed := a.c.openPermits(ctx, l, w)
		if failed != nil || len(open) == 0 {
			l.unuse()
			return nil, errOr(failed, held)
		}
		w.slot = open[rand.N(len(open))]
		lock, err = a.takeRow(ctx, caller, l, w, false)
		if !errors.Is(err, ErrNotAcquired) || !l.use() {
			return lock, err
		}
	}
	l.unuse()
	return nil, err // others were faster
}

func errOr(err error, held *HeldError) error {
	if err != nil {
		return err
	}
	return held
}

// openPermits reads which permits could be taken. Only where all are, it looks for one whose holder is dead. None: held
// tells of the one that will be free first, as far as is known.
func (c *Client) openPermits(ctx context.Context, l *lease, w wish) (open []int, held *HeldError, err error) {
	var rows []dialect.Row
	_, err = c.retry(ctx, func(ctx context.Context) (err error) {
		rows, err = c.rowsOf(ctx, w.name, slotExclusive, w.permits, false)
		return err
	})
	if err != nil {
		return nil, nil, c.failed(fmt.Sprintf("looking at the permits of %q", w.name), err)
	}
	if len(rows) > 0 && hasReaders(rows[0]) {
		return nil, nil, invalid("Permits of %q: that name is in use as a shared lock; take another", w.name)
	}
	taken := make([]bool, w.permits)
	for _, row := range rows {
		taken[row.Slot] = row.Held || row.FreeIn > 0
	}
	for slot, is := range taken {
		if !is {
			open = append(open, slot)
		}
	}
	if len(open) > 0 {
		return open, nil, nil
	}
	return c.orphanedPermit(ctx, l, rows)
}

// orphanedPermit frees a permit whose holder is dead, or tells which of them will be free first.
func (c *Client) orphanedPermit(ctx context.Context, l *lease, rows []dialect.Row) ([]int, *HeldError, error) {
	first := rows[0]
	for i, row := range rows {
		if row.Held && row.Lease != dialect.LeaseLive {
			var found finding
			_, err := c.retry(ctx, func(ctx context.Context) (err error) {
				found, err = c.clear(ctx, &row)
				return err
			})
			if err != nil {
				return nil, nil, c.failed(fmt.Sprintf("freeing permit %d of %q, whose holder is dead", row.Slot, row.Name), err)
			}
			if found == free {
				return []int{row.Slot}, nil, nil
			}
		}
		if i > 0 && max(row.Remaining, row.FreeIn) < max(first.Remaining, first.FreeIn) {
			first = row
		}
	}
	held := heldError(first, l.id)
	held.reason = fmt.Sprintf("all %d permits are held; the next one to be looked for: %s", len(rows), held.reason)
	return nil, held, nil
}
