package sqllock

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// term is what the locks under one lease have in common.
type term struct {
	ttl     time.Duration
	session bool // the server holds them, for a connection
}

// place is where those stand in line who want that lock: any permit of a semaphore, to read or to write.
func (t term) place(key dialect.Key) place {
	if key.Slot < MaxPermits || key.Slot == slotWriter || key.Slot >= slotReaders {
		key.Slot = slotExclusive
	}
	return place{Key: key, session: t.session}
}

// tenure is the place of the lease for one term: the first who needs it opens it, and all others wait for that.
type tenure struct {
	ready chan struct{}
	lease *lease // once ready; nil if err isn't
	err   error
}

// settled is the tenure's lease if it is open.
func (t *tenure) settled() *lease {
	select {
	case <-t.ready:
		return t.lease
	default:
		return nil
	}
}

// lease answers the lease for that term with the caller counted among its users, opening one if need be.
func (c *Client) lease(ctx context.Context, want term) (*lease, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, errClosed
		}
		t := c.leases[want]
		first := t == nil
		if first {
			t = &tenure{ready: make(chan struct{})}
			c.leases[want] = t
		}
		c.mu.Unlock()

		if first {
			c.openTenure(ctx, want, t)
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			if !first { // else its own error says more
				return nil, c.failed("waiting for a lease, or a connection, that another call is opening", ctx.Err())
			}
		}
		if t.err == nil && t.lease.use() {
			return t.lease, nil
		}
		c.forget(want, t)
		if t.err != nil {
			return nil, t.err
		}
	}
}

// openTenure opens the tenure's lease, and starts its heartbeat.
func (c *Client) openTenure(ctx context.Context, want term, t *tenure) {
	l := &lease{c: c, tenure: t, term: want, locks: make(map[*Lock]struct{}), stop: make(chan struct{})}
	open := c.openRow
	if want.session {
		open = c.openSession
	}
	err := open(ctx, l)
	if err == nil {
		l.idle = l.trust.sent
		if c.announce(t, l) {
			return
		}
		l.anchor.abandon()
		err = errClosed
	}
	t.err = err
	close(t.ready)
}

// announce says that the lease is there and starts its heartbeat, in one: Close ends the leases that are there, and waits for
// every heartbeat. False: the Client is closed.
func (c *Client) announce(t *tenure, l *lease) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	t.lease = l
	close(t.ready)
	c.work.Go(l.keep)
	return true
}

// openRow writes a new lease.
func (c *Client) openRow(ctx context.Context, l *lease) error {
	l.anchor = rowAnchor{c}
	if err := c.probeLate(ctx); err != nil {
		return err
	}
	_, err := c.retry(ctx, func(ctx context.Context) error {
		// A new id each time: the one before may have been written, its reply lost. Nobody will use it.
		l.id = rand.Text()
		l.trust = trust{sent: now(), ttl: l.ttl}
		return c.dialect.CreateLease(ctx, dialect.Lease{ID: l.id, Holder: c.opts.Holder, TTL: l.ttl})
	})
	if err != nil {
		return c.failed(fmt.Sprintf("opening a lease of %s", l.ttl), err)
	}
	return nil
}

// forget makes room for the next lease of that term.
func (c *Client) forget(of term, t *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases[of] == t {
		delete(c.leases, of)
	}
}
