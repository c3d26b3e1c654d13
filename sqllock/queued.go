package sqllock

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// behind is the error that somebody else stands first in the queue, for those who overtake nobody.
func (t *taking) behind(ctx context.Context) error {
	if !t.fair {
		return nil
	}
	var queue []dialect.Waiting
	_, err := t.retry(ctx, func(ctx context.Context) (err error) {
		queue, err = t.c.dialect.Queue(ctx, t.queue, 1)
		return err
	})
	if err != nil || len(queue) == 0 || t.seat != nil && queue[0].Owner == t.seat.request.Owner {
		return err
	}
	return &HeldError{
		Name: t.request.Name, Holder: queue[0].Holder, Note: queue[0].Note, queued: true,
		reason: fmt.Sprintf("%s stands first in its queue, since %s", queue[0].Holder, queue[0].Since.UTC().Format(time.RFC3339)),
	}
}

// handedOver tells whether the row was handed to our place in the queue, though no message came: then it is asked for by the
// owner token of that.
func (t *taking) handedOver(row dialect.Row) bool {
	if t.seat == nil || row.Owner != t.seat.request.Owner {
		return false
	}
	if t.unsure {
		t.lease.anchor.settle(t.lease, t.claim(), t.lease.ttl)
		t.unsure = false
	}
	t.request = t.seat.request
	return true
}

// seated tells whether what is asked for is the place in the queue.
func (t *taking) seated() bool { return t.seat != nil && t.request.Owner == t.seat.request.Owner }
