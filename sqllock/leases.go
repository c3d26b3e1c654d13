package sqllock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// leases are the leases of one Client: one for each leaseKey. A lease is opened when it is first
// needed, and opened again when the previous one is over.
type leases struct {
	c *core

	mu      sync.Mutex // guards the fields below
	closed  bool
	entries map[leaseKey]*leaseEntry
}

// leaseEntry holds the lease for one key. The first caller that needs the lease opens it, and the
// others wait for that.
type leaseEntry struct {
	ready chan struct{}
	lease *lease // set when ready; nil if err isn't
	err   error
}

func newLeases(c *core) *leases { return &leases{c: c, entries: make(map[leaseKey]*leaseEntry)} }

// readyLease returns the entry's lease if it is open, and otherwise nil.
func (e *leaseEntry) readyLease() *lease {
	select {
	case <-e.ready:
		return e.lease
	default:
		return nil
	}
}

// get returns the lease for that key, with the caller added to its users. It opens a lease if there
// is none.
func (ls *leases) get(ctx context.Context, key leaseKey) (*lease, error) {
	for {
		ls.mu.Lock()
		if ls.closed {
			ls.mu.Unlock()
			return nil, errClosed
		}
		e := ls.entries[key]
		first := e == nil
		if first {
			e = &leaseEntry{ready: make(chan struct{})}
			ls.entries[key] = e
		}
		ls.mu.Unlock()

		if first {
			ls.open(ctx, key, e)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			if !first { // otherwise its own error says more
				return nil, ls.c.store.failed("waiting for a lease, or a connection, that another call is opening",
					ctx.Err())
			}
		}
		if e.err == nil && e.lease.addUser() {
			return e.lease, nil
		}
		ls.forget(key, e)
		if e.err != nil {
			return nil, e.err
		}
	}
}

// getOpen is get for a lease that is open already. It returns nil if there is none.
func (ls *leases) getOpen(key leaseKey) *lease {
	ls.mu.Lock()
	e := ls.entries[key]
	ls.mu.Unlock()
	if e == nil {
		return nil
	}
	if l := e.readyLease(); l != nil && l.addUser() {
		return l
	}
	return nil
}

// open opens the entry's lease and starts its heartbeat.
func (ls *leases) open(ctx context.Context, key leaseKey, e *leaseEntry) {
	l := &lease{c: ls.c, entry: e, leaseKey: key, locks: make(map[*Lock]struct{}), stop: make(chan struct{})}
	open := ls.openRow
	if key.session {
		open = ls.openSession
	}
	err := open(ctx, l)
	if err == nil {
		l.idle = l.validity.Sent
		if ls.publish(e, l) {
			return
		}
		l.backend.abandon()
		err = errClosed
	}
	e.err = err
	close(e.ready)
}

// publish makes the lease available and starts its heartbeat, in one step, because Close ends the
// leases that are available and waits for every heartbeat. It returns false if the Client is
// closed.
func (ls *leases) publish(e *leaseEntry, l *lease) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return false
	}
	e.lease = l
	close(e.ready)
	ls.c.store.Spawn(l.keep)
	return true
}

// openRow writes a new lease.
func (ls *leases) openRow(ctx context.Context, l *lease) error {
	c := ls.c
	l.backend = leaseBackend{c}
	if err := c.prober.deferred(ctx); err != nil {
		return err
	}
	_, err := c.store.Retry(ctx, func(ctx context.Context) error {
		// Use a new id for each try: the previous one may have been written and its reply lost.
		// Nobody will use that one.
		l.id = rand.Text()
		l.validity = clock.Validity{Sent: clock.Now(), TTL: l.trusted()}
		// A lease that is written after its validity is useless.
		ctx, cancel := context.WithTimeout(ctx, l.validity.Remaining(l.validity.Sent))
		defer cancel()
		return c.store.CreateLease(ctx, dialect.Lease{ID: l.id, Holder: c.opts.Holder, TTL: l.ttl})
	})
	if err != nil {
		return c.store.failed(fmt.Sprintf("opening a lease of %s", l.ttl), err)
	}
	return nil
}

// forget makes room for the next lease of that key.
func (ls *leases) forget(key leaseKey, e *leaseEntry) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.entries[key] == e {
		delete(ls.entries, key)
	}
}

// shut prevents leases from being opened, shuts the store, and returns the leases that are open.
// first is false if that was done before.
func (ls *leases) shut() (open []*lease, first bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return nil, false
	}
	ls.closed = true
	ls.c.store.Shut()
	for _, e := range ls.entries {
		if l := e.readyLease(); l != nil {
			open = append(open, l)
		}
	}
	ls.entries = nil
	return open, true
}

// end ends the leases, which releases all locks under them. It first releases locks with a
// LockDelay, because their holder has not failed and the delay must not apply.
func (ls *leases) end(ctx context.Context, open []*lease) error {
	var ids []string
	var delayed []dialect.Claim
	for _, l := range open {
		locks := l.end(func(string) error { return errClosed })
		if l.session {
			l.backend.abandon()
			continue
		}
		ids = append(ids, l.id)
		for _, lock := range locks {
			if lock.delayed {
				delayed = append(delayed, lock.claim)
			}
		}
	}
	err := ls.releaseDelayed(ctx, delayed)
	if left := ls.c.store.RemoveLeases(ctx, ids); left != nil {
		err = errors.Join(err,
			ls.c.store.failed("releasing all locks; they stay taken until their leases run out", left))
	}
	return err
}

// releaseDelayed releases locks that have a LockDelay. It uses at most half of the time that Close
// has, because a transaction may still guard one of these locks, and the other locks must not wait
// for it.
func (ls *leases) releaseDelayed(ctx context.Context, claims []dialect.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, store.OperationTimeout/2)
	defer cancel()
	_, err := ls.c.store.Retry(ctx, func(ctx context.Context) error {
		ours, err := ls.c.store.Release(ctx, claims)
		for i := 0; err == nil && len(claims) > 1 && i < len(claims); i++ {
			if !ours[i] { // another's, or skipped because of a guard, for which a release alone waits
				_, err = ls.c.store.Release(ctx, claims[i:i+1])
			}
		}
		return err
	})
	if err != nil {
		return ls.c.store.failed("releasing locks with a LockDelay, which now keeps others from them", err)
	}
	return nil
}
