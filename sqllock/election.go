package sqllock

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/sqllock/sqllock/dialect"
)

// Election lets processes agree on one of them that leads, again and again: its leader is who holds the lock of that name,
// under a lease, until it resigns or its lease runs out. Whatever is true of a lease lock is true of it. Its methods are safe
// for concurrent use, and a process may have several of one name.
type Election struct {
	c *Client
	w wish // for the leader's lock
}

// Election makes an Election of that name; it asks the database nothing. The options are WithTTL (how long after the death of
// a leader nobody else leads), WithNote (what people see of this candidate when it leads) and LockDelay; any other is an
// ErrInvalid. A Client made WithoutTables has none: ErrUnsupported.
//
// An election needs a name of its own. To Campaign for a name that somebody holds as a lock is an ErrInvalid, as it is to
// Acquire one that has a leader.
func (c *Client) Election(name string, opts ...Option) (*Election, error) {
	w, err := wished(name, opts)
	if err != nil {
		return nil, err
	}
	w.name, w.ttl, w.withTTL, w.note, w.lockDelay = "", 0, false, "", 0
	if !reflect.ValueOf(w).IsZero() { // whatever options there will be: to ignore one could be to promise what isn't kept
		return nil, invalid("election %q: the options of an election are WithTTL, WithNote and LockDelay, and no other", name)
	}
	if w, err = c.wish(name, opts); err != nil {
		return nil, err
	}
	w.use = useElection
	return &Election{c: c, w: w}, nil
}

// Name is the election's name.
func (e *Election) Name() string { return e.w.name }

// Campaign waits until this process leads, or ctx ends: then the error is both ErrNotAcquired, mostly with a *HeldError that
// tells who leads, and ctx.Err(). Any other error means that the database failed, for longer than a few seconds of retries;
// that the Client was closed (ErrClosed); that the name is in use as a lock (ErrInvalid, at once); or that ctx comes from a
// lock that is held, and the leader waits for that (ErrDeadlock, see Client.Acquire). Candidates are served in the order of
// Client.Acquire. After Campaign returns, ctx means nothing to the term. A process that leads and campaigns again waits for
// itself.
func (e *Election) Campaign(ctx context.Context) (*Term, error) {
	lock, err := e.c.acquire(ctx, e.w)
	if err != nil {
		return nil, err
	}
	return e.begin(lock), nil
}

// passing tells whether the error of something that was asked of the database may be another one, or none, a while later. What
// is to go on for as long as a process does must not end with an outage or a failover.
func (c *Client) passing(err error) bool {
	for _, final := range []error{ErrInvalid, ErrClosed, ErrSchema, ErrDeadlock} {
		if errors.Is(err, final) {
			return false
		}
	}
	return c.dialect.Classify(err) != dialect.Permanent
}

// failed is the error of something that the database refused or couldn't do.
func (e *Election) failed(doing string, err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrInvalid) {
		return err
	}
	return e.c.failed(fmt.Sprintf("%s election %q", doing, e.w.name), err)
}
