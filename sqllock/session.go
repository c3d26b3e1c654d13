package sqllock

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// sessionAnchor is a connection, for which the server holds the locks. Nothing on it ever waits for a lock, so one
// serves them all, and who waits for a lock keeps nobody from releasing another.
type sessionAnchor struct {
	c    *Client
	conn dialect.Session
	turn chan struct{}     // one statement at a time
	held map[string]*count // by name; whose turn it is may look
	seen map[string]sight  // likewise: who had a lock, for those who wait for it
}

// sight is who was seen to have a lock.
type sight struct {
	at   moment
	held *HeldError
}

// A waiter asks who has the lock no more often than every sightLasts, and much more often whether it is free.
const (
	sightLasts = time.Second
	maxSights  = 1000
)

// count is how often this process holds a lock that the server has granted once.
type count struct {
	shared bool
	n      int
}

// openSession opens a connection for session locks, if they work here.
func (c *Client) openSession(ctx context.Context, l *lease) error {
	locker, err := c.sessionLocker()
	if err != nil {
		return err
	}
	a := &sessionAnchor{c: c, turn: make(chan struct{}, 1), held: make(map[string]*count), seen: make(map[string]sight)}
	_, err = c.retry(ctx, func(ctx context.Context) (err error) {
		l.id, l.trust = rand.Text(), trust{sent: now(), ttl: l.ttl}
		a.conn, err = c.provenSession(ctx, locker)
		return err
	})
	if err != nil {
		return c.failed("opening a connection for session locks", err)
	}
	l.anchor = a
	return nil
}

// enter waits for the caller's turn on the connection.
func (a *sessionAnchor) enter(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *sessionAnchor) leave() { <-a.turn }

func (a *sessionAnchor) take(ctx, caller context.Context, l *lease, w wish, looking bool) (*Lock, error) {
	want := dialect.ServerLock{Name: w.name, Shared: w.shared}
	held, err := a.try(ctx, l, want, looking)
	if err == nil && held == nil {
		return l.grant(caller, &Lock{claim: dialect.Claim{Key: dialect.Key{Name: w.name}}})
	}
	l.unuse()
	if err != nil {
		return nil, a.c.failed(fmt.Sprintf("acquiring session lock %q", w.name), err)
	}
	return nil, held
}

// try takes the lock, or tells who has it. A lock that this process holds isn't asked for: to its own session, a
// server may grant it once more.
func (a *sessionAnchor) try(ctx context.Context, l *lease, want dialect.ServerLock, looking bool) (*HeldError, error) {
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	defer a.leave()
	if has := a.held[want.Name]; has != nil {
		if !has.shared || !want.Shared {
			return &HeldError{Name: want.Name, Holder: a.c.opts.Holder, Self: true, reason: reasonSelf}, nil
		}
		has.n++
		return nil, nil
	}
	granted, err := a.conn.TryLock(ctx, []dialect.ServerLock{want})
	switch {
	case err != nil:
		return nil, a.doubt(l, want, err)
	case granted[0]:
		a.held[want.Name] = &count{shared: want.Shared, n: 1}
		delete(a.seen, want.Name)
		return nil, nil
	}
	if last, ok := a.seen[want.Name]; looking && ok && now().since(last.at) < sightLasts {
		return last.held, nil
	}
	if len(a.seen) >= maxSights {
		clear(a.seen)
	}
	held := a.heldBy(ctx, want)
	a.seen[want.Name] = sight{at: now(), held: held}
	return held, nil
}

// doubt makes sure that nothing is held after a try that failed, or gives the connection up.
func (a *sessionAnchor) doubt(l *lease, lock dialect.ServerLock, err error) error {
	if errors.Is(err, ErrUnsupported) || errors.Is(err, ErrInvalid) {
		return err
	}
	ctx := a.c.operation(context.Background())
	if _, unlock := a.conn.Unlock(ctx, []dialect.ServerLock{lock}); unlock != nil {
		l.lose(fmt.Sprintf("the connection of the session locks failed: %v", err))
	}
	return err
}

// heldBy tells who holds the lock, as far as the server says.
func (a *sessionAnchor) heldBy(ctx context.Context, lock dialect.ServerLock) *HeldError {
	e := &HeldError{Name: lock.Name, reason: "held by another session of the server"}
	holders, err := a.conn.HeldBy(ctx, []dialect.ServerLock{lock})
	if err != nil { // if the connection has failed, the next try finds out
		a.c.log.Debug("sqllock: can't see who holds a session lock", "lock", lock.Name, "err", err)
		return e
	}
	if h := holders[0]; h.Holder != "" {
		e.Holder, e.Connected, e.reason = h.Holder, h.Since, "held by "+h.Holder
		if !h.Since.IsZero() {
			e.reason += ", connected since " + h.Since.UTC().Format(time.RFC3339)
		}
	}
	return e
}

func (a *sessionAnchor) release(ctx context.Context, l *Lock) (bool, error) {
	ours, err := a.unlock(ctx, l.Name())
	switch {
	case err != nil:
		l.lease.lose(fmt.Sprintf("a release couldn't be confirmed, so the connection was given up: %v", err))
		return false, a.c.failed(fmt.Sprintf("releasing session lock %q: its connection was closed, and the server "+
			"lets the lock go when it notices", l.Name()), err)
	case !ours:
		l.lease.lose("the server's session isn't the one that took the lock")
	default:
		a.c.freed(l.lease.place(l.claim.Key))
	}
	return ours, nil
}

func (a *sessionAnchor) unlock(ctx context.Context, name string) (bool, error) {
	if err := a.enter(ctx); err != nil {
		return false, err
	}
	defer a.leave()
	has := a.held[name]
	if has == nil {
		return false, nil
	}
	if has.n--; has.n > 0 {
		return true, nil
	}
	delete(a.held, name)
	ours, err := a.conn.Unlock(ctx, []dialect.ServerLock{{Name: name, Shared: has.shared}})
	return err == nil && ours[0], err
}

func (a *sessionAnchor) settle(l *lease, claim dialect.Claim, _ time.Duration) {
	a.c.spawn(func() {
		ctx := a.c.operation(context.Background())
		if _, err := a.unlock(ctx, claim.Name); err != nil {
			l.lose(fmt.Sprintf("giving back a lock couldn't be confirmed, so the connection was given up: %v", err))
		}
		a.c.freed(l.place(claim.Key))
	})
}

func (a *sessionAnchor) guard(_ context.Context, _ *sql.Tx, l *Lock) error {
	return fmt.Errorf("sqllock: %w: Guard of session lock %q: it has no row that a transaction could hold; "+
		"use a lease lock, or AcquireTx", ErrUnsupported, l.Name())
}

// beat asks whether the session is still there. What comes of a failure is that the driver has closed it.
func (a *sessionAnchor) beat(ctx context.Context, _ *lease) error {
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	if err := a.conn.Ping(ctx); err != nil {
		return fmt.Errorf("%w: the connection of the session locks ended: %w", errOver, err)
	}
	return nil
}

// patience is all that is left: a ping that is broken off breaks the connection.
func (a *sessionAnchor) patience(_ *lease, left time.Duration) time.Duration { return left }

func (a *sessionAnchor) end(context.Context, *lease) error { return a.conn.Close() }

func (a *sessionAnchor) abandon() {
	if err := a.conn.Close(); err != nil {
		a.c.log.Debug("sqllock: closing the connection of the session locks", "err", err)
	}
}
