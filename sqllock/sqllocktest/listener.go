package sqllocktest

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

var _ dialect.Notifier = (*Dialect)(nil)

// listener is a connection with the notifications that haven't been read from it yet.
type listener struct {
	d       *Dialect
	channel string
	unread  []dialect.Handover
	more    chan struct{} // has room for one; filled when there may be something unread
	ended   chan struct{} // closed when the connection has ended
}

// OpenListener implements [dialect.Notifier]. Delays and faults for [Any] don't affect the
// listener's Next, which doesn't call the database.
func (d *Dialect) OpenListener(ctx context.Context, _ string) (dialect.Listener, error) {
	w := &listener{d: d, channel: "listener " + rand.Text(), more: make(chan struct{}, 1), ended: make(chan struct{})}
	if err := d.do(ctx, OpOpenListener, func(time.Time) { d.listeners[w.channel] = w }); err != nil {
		return nil, err
	}
	return w, nil
}

// LoseNotifications makes the notifications of the next n hand-overs get lost, as when the
// connection is cut. The locks are handed over all the same.
func (d *Dialect) LoseNotifications(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lostNotifications += n
}

// CutListeners ends all connections on which notifications arrive, as a restart of the database
// does.
func (d *Dialect) CutListeners() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.listeners {
		w.end()
	}
}

// handOver hands a lock over to the first waiter in its queue. It returns false if there is none,
// or if the first waiter polls and so needs the lock to be free. The caller holds mu.
func (d *Dialect) handOver(now time.Time, c dialect.Claim) bool {
	at := slices.IndexFunc(d.waiters, func(w *waiter) bool {
		return w.Key == c.Key && w.Owner != c.Owner && d.alive(now, w.LeaseID)
	})
	if at < 0 || d.waiters[at].Channel == "" || d.locks[c.Key].free.After(now) {
		return false
	}
	next := d.waiters[at]
	d.waiters = slices.Delete(d.waiters, at, at+1)
	grant := d.locks[c.Key].assign(now, next.Request)
	if d.lostNotifications > 0 {
		d.lostNotifications--
	} else if w, ok := d.listeners[next.Channel]; ok {
		w.notify(dialect.Handover{Owner: next.Owner, Fence: grant.Fence})
	}
	return true
}

// notify adds a notification without blocking. The caller holds mu.
func (w *listener) notify(h dialect.Handover) {
	w.unread = append(w.unread, h)
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// read takes the first unread notification.
func (w *listener) read() (dialect.Handover, bool) {
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
func (w *listener) end() {
	if w.d.listeners[w.channel] == w {
		delete(w.d.listeners, w.channel)
		close(w.ended)
	}
}

// Channel implements [dialect.Listener].
func (w *listener) Channel() string { return w.channel }

// Next implements [dialect.Listener].
func (w *listener) Next(ctx context.Context) (dialect.Handover, error) {
	for {
		if err := ctx.Err(); err != nil {
			return dialect.Handover{}, err
		}
		select {
		case <-w.ended:
			ended := &Error{Op: OpNextNotification, Class: dialect.ClassUnknown, Reason: "the connection has ended"}
			return dialect.Handover{}, ended
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

// Close implements [dialect.Listener].
func (w *listener) Close() error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.end()
	return nil
}
