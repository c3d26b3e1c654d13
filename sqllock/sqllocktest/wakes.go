package sqllocktest

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

var _ dialect.Waker = (*Dialect)(nil)

// wakes is a connection, and the messages to it that haven't been read yet.
type wakes struct {
	d       *Dialect
	channel string
	unread  []dialect.Handover
	more    chan struct{} // has room for one: there may be something unread
	ended   chan struct{} // closed: the connection has ended
}

// OpenWakes implements dialect.Waker. Delays and faults for Any don't touch Next, which asks the database nothing.
func (d *Dialect) OpenWakes(ctx context.Context, _ string) (dialect.Wakes, error) {
	w := &wakes{d: d, channel: "wakes " + rand.Text(), more: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := d.do(ctx, OpOpenWakes, func(time.Time) { d.wakes[w.channel] = w }); err != nil {
		return nil, err
	}
	return w, nil
}

// LoseWakes makes the messages about the next n hand-overs get lost, as when the connection is cut: the lock is handed
// over all the same.
func (d *Dialect) LoseWakes(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lostWakes += n
}

// CutWakes ends all connections that hand-overs are heard on, as a restart of the database does.
func (d *Dialect) CutWakes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wakes {
		w.end()
	}
}

// handOver gives a lock to the first in its queue, if it can be told: one that polls wants it free. The caller holds mu.
func (d *Dialect) handOver(now time.Time, c dialect.Claim) bool {
	at := slices.IndexFunc(d.waiters, func(w *waiter) bool {
		return w.Key == c.Key && w.Owner != c.Owner && d.alive(now, w.LeaseID)
	})
	if at < 0 || d.waiters[at].Channel == "" || d.locks[c.Key].free.After(now) {
		return false
	}
	heir := d.waiters[at]
	d.waiters = slices.Delete(d.waiters, at, at+1)
	grant := d.locks[c.Key].give(now, heir.Request)
	if d.lostWakes > 0 {
		d.lostWakes--
	} else if w, ok := d.wakes[heir.Channel]; ok {
		w.tell(dialect.Handover{Owner: heir.Owner, Fence: grant.Fence})
	}
	return true
}

// tell never waits. The caller holds mu.
func (w *wakes) tell(h dialect.Handover) {
	w.unread = append(w.unread, h)
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// read takes the first message that is unread.
func (w *wakes) read() (dialect.Handover, bool) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if len(w.unread) == 0 {
		return dialect.Handover{}, false
	}
	h := w.unread[0]
	w.unread = w.unread[1:]
	return h, true
}

// end ends the connection. The caller holds mu.
func (w *wakes) end() {
	if w.d.wakes[w.channel] == w {
		delete(w.d.wakes, w.channel)
		close(w.ended)
	}
}

// Channel implements dialect.Wakes.
func (w *wakes) Channel() string { return w.channel }

// Next implements dialect.Wakes.
func (w *wakes) Next(ctx context.Context) (dialect.Handover, error) {
	for {
		if err := ctx.Err(); err != nil {
			return dialect.Handover{}, err
		}
		select {
		case <-w.ended:
			return dialect.Handover{}, &Error{Op: OpNextWake, Class: dialect.Unknown, Reason: "the connection has ended"}
		default:
		}
		if h, ok := w.read(); ok {
			return h, nil
		}
		select {
		case <-w.more:
		case <-w.ended:
		case <-ctx.Done():
		}
	}
}

// Close implements dialect.Wakes.
func (w *wakes) Close() error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.end()
	return nil
}
