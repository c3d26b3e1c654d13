package sqllock

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// board asks for the lock together with others, where a statement of theirs is under way: to wait for the next one the caller
// needs no goroutine, which at five hundred callers is a third of the work. Neither lock nor error: there was nothing to
// join, or the answer leaves something to find out; looking says that it was no, and a request whose reply was lost is
// left in w.
func (c *Client) board(ctx context.Context, w *wish, after func()) (lock *Lock, outlived, looking bool, err error) {
	l := c.openLease(w.term())
	if l == nil {
		return nil, false, false, nil
	}
	r := w.request(l)
	claim := dialect.Claim{Key: r.Key, Owner: r.Owner}
	me := c.acquires.join(r)
	if me == nil {
		l.unuse()
		return nil, false, false, nil
	}
	select {
	case o := <-me.answer:
		if o.err == nil && o.a.Granted {
			lock, err = l.grant(ctx, &Lock{claim: claim, fence: o.a.Fence, permits: w.permits, delayed: r.LockDelay > 0})
			return lock, false, false, err
		}
		l.unuse()
		if o.err != nil && c.dialect.Classify(o.err) == dialect.Unknown {
			w.sent = &r
		}
		return nil, false, o.err == nil, nil
	case <-ctx.Done():
	}
	if c.acquires.withdraw(me) {
		l.unuse()
		return nil, false, false, gaveUp(ctx, w.name, nil)
	}
	if c.spawn(func() { c.drop(l, claim, <-me.answer); after() }) {
		return nil, true, false, gaveUp(ctx, w.name, nil)
	}
	return nil, false, false, gaveUp(ctx, w.name, nil) // the Client is closed, and its leases are gone
}

// drop gives back what nobody wants, or may have been granted.
func (c *Client) drop(l *lease, claim dialect.Claim, o outcome[dialect.Grant]) {
	l.unuse()
	switch {
	case o.err != nil && c.dialect.Classify(o.err) == dialect.Unknown:
		l.anchor.settle(l, claim, l.ttl)
	case o.err == nil && o.a.Granted:
		l.anchor.settle(l, claim, 0)
	}
}

// openLease is the lease for that term, with the caller among its users, if it is open.
func (c *Client) openLease(want term) *lease {
	c.mu.Lock()
	t := c.leases[want]
	c.mu.Unlock()
	if t == nil {
		return nil
	}
	if l := t.settled(); l != nil && l.use() {
		return l
	}
	return nil
}
