package sqllock

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// tenure is the place of the lease for one TTL: the first who needs it opens it, and all others wait for that.
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

// lease answers the lease for that TTL with the caller counted among its users, opening one if need be.
func (c *Client) lease(ctx context.Context, ttl time.Duration) (*lease, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, fmt.Errorf("sqllock: %w", ErrClosed)
		}
		t := c.leases[ttl]
		first := t == nil
		if first {
			t = &tenure{ready: make(chan struct{})}
			c.leases[ttl] = t
		}
		c.mu.Unlock()

		if first {
			t.lease, t.err = c.newLease(ctx, ttl, t)
			close(t.ready)
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if t.err == nil && t.lease.use() {
			return t.lease, nil
		}
		c.forget(ttl, t)
		if t.err != nil {
			return nil, t.err
		}
	}
}

// newLease writes a new lease, and starts its heartbeat.
func (c *Client) newLease(ctx context.Context, ttl time.Duration, t *tenure) (*lease, error) {
	l := &lease{c: c, tenure: t, ttl: ttl, locks: make(map[*Lock]struct{}), stop: make(chan struct{})}
	_, err := c.retry(ctx, func(ctx context.Context) error {
		// A new id each time: the one before may have been written, its reply lost. Nobody will use it.
		l.id = rand.Text()
		l.trust = trust{sent: now(), ttl: ttl}
		return c.dialect.CreateLease(ctx, dialect.Lease{ID: l.id, Holder: c.opts.Holder, TTL: ttl})
	})
	if err != nil {
		return nil, c.failed(fmt.Sprintf("opening a lease of %s", ttl), err)
	}
	l.idle = l.trust.sent
	if !c.spawn(l.keep) {
		return nil, fmt.Errorf("sqllock: %w", ErrClosed)
	}
	return l, nil
}

// forget makes room for the next lease of that TTL.
func (c *Client) forget(ttl time.Duration, t *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leases[ttl] == t {
		delete(c.leases, ttl)
	}
}
