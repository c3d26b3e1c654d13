package simulate

import (
	"context"
	"sync/atomic"

	"github.com/sqllock/sqllock/dialect"
)

// sessionSlot is the slot of session locks in the ledger. They have no rows.
const sessionSlot = -1

// connection is a connection of its own: of session locks, or of a listener. After an error it
// can't be used any more, and the database notices its end a while later.
type connection struct {
	l      *link
	close  func() error
	broken atomic.Bool
}

// over ends the connection.
func (c *connection) over() {
	if c.broken.CompareAndSwap(false, true) {
		c.l.w.afterNotice(func() { _ = c.close() })
	}
}

// sessionConn is a connection of session locks.
type sessionConn struct {
	connection
	dialect.Session
}

// OpenSession implements dialect.SessionLocker.
func (l *link) OpenSession(ctx context.Context, options dialect.SessionOptions) (dialect.Session, error) {
	s, err := send(ctx, l, "OpenSession", func(leaving) (dialect.Session, error) {
		return l.Dialect.OpenSession(background, options)
	})
	if err != nil { // one whose reply was lost ends when the database notices
		return nil, err
	}
	c := &sessionConn{connection{l: l, close: s.Close}, s}
	l.whenDead(c.over)
	return c, nil
}

func ask[A any](
	ctx context.Context, c *sessionConn, op string, locks []dialect.ServerLock,
	apply func(context.Context, []dialect.ServerLock) ([]A, error),
) ([]A, error) {
	c.l.run()
	if c.broken.Load() {
		return nil, errCut
	}
	answers, err := transmit(ctx, c.l, op, c.l.fate(op, true), func(leaving) ([]A, error) {
		return apply(background, locks)
	})
	if err != nil {
		c.over()
	}
	return answers, err
}

func (c *sessionConn) TryLock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return ask(ctx, c, "TryLock", locks, c.Session.TryLock)
}

func (c *sessionConn) Unlock(ctx context.Context, locks []dialect.ServerLock) ([]bool, error) {
	return ask(ctx, c, "Unlock", locks, c.Session.Unlock)
}

func (c *sessionConn) HeldBy(ctx context.Context, locks []dialect.ServerLock) ([]dialect.SessionHolder, error) {
	return ask(ctx, c, "HeldBy", locks, c.Session.HeldBy)
}

func (c *sessionConn) Ping(ctx context.Context) error {
	_, err := ask(ctx, c, "Ping", nil, func(ctx context.Context, _ []dialect.ServerLock) ([]bool, error) {
		return nil, c.Session.Ping(ctx)
	})
	return err
}

// Close closes the connection. If the link is down, the database notices that late.
func (c *sessionConn) Close() error {
	if !c.l.has(silence).IsZero() || !c.l.has(refuse).IsZero() {
		c.over()
		return nil
	}
	if c.broken.CompareAndSwap(false, true) {
		return c.Session.Close()
	}
	return nil
}

// listenerConn is a listener's connection.
type listenerConn struct {
	connection
	dialect.Listener
}

// OpenListener implements dialect.Notifier.
func (l *link) OpenListener(ctx context.Context, holder string) (dialect.Listener, error) {
	listener, err := send(ctx, l, "OpenListener", func(leaving) (dialect.Listener, error) {
		return l.Dialect.OpenListener(background, holder)
	})
	if err != nil {
		return nil, err
	}
	c := &listenerConn{connection{l: l, close: listener.Close}, listener}
	l.whenDead(c.over)
	return c, nil
}

// Next waits for a notification. It arrives when the process runs.
func (c *listenerConn) Next(ctx context.Context) (dialect.Handover, error) {
	defer c.l.run()
	return c.Listener.Next(ctx)
}

// Close closes the connection.
func (c *listenerConn) Close() error {
	c.broken.Store(true)
	return c.Listener.Close()
}
