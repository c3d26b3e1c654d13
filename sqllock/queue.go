package sqllock

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Waiter is a process that waits for a lock, however many of its goroutines do.
type Waiter struct {
	Holder string    // as its Client was named (Options.Holder)
	Note   string    // of the one who is first in that process (WithNote)
	Since  time.Time // that one waits, by the database's clock
}

// maxQueue is how many waiters Queue reads.
const maxQueue = 1000

// Queue tells who waits for a lease lock, the first first: up to a thousand processes, and a picture of a moment that has
// passed. A process that polls, and not for a Fair lock, isn't in it before it has waited for a quarter of a second.
// It blocks until the database has answered or ctx ends.
func (c *Client) Queue(ctx context.Context, name string) ([]Waiter, error) {
	if err := c.checkInspect(name); err != nil {
		return nil, err
	}
	var queue []dialect.Waiting
	for _, slot := range []int{slotExclusive, slotWriter} {
		_, err := c.retry(ctx, func(ctx context.Context) error {
			some, err := c.dialect.Queue(ctx, dialect.Key{Name: name, Slot: slot}, maxQueue)
			queue = append(queue, some...)
			return err
		})
		if err != nil {
			return nil, c.failed(fmt.Sprintf("looking at the queue for lock %q", name), err)
		}
	}
	slices.SortStableFunc(queue, func(a, b dialect.Waiting) int { return a.Since.Compare(b.Since) })
	waiters := make([]Waiter, len(queue))
	for i, w := range queue {
		waiters[i] = Waiter{Holder: w.Holder, Note: w.Note, Since: w.Since}
	}
	return waiters, nil
}
