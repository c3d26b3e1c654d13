// Package notify receives the notifications of hand-overs for all waiters of a Client, on one
// connection that is open while there are waiters. Where notifications don't work, waiters poll.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// Limits of the connection on which notifications arrive.
const (
	openTimeout = 3 * time.Second  // to open it: a waiter waits for that once
	retryAfter  = 10 * time.Second // after a failure, waiters poll for this long before it is opened again
	idleTimeout = time.Minute      // it is closed after this time without waiters
)

// Listener owns the connection. A nil *Listener has no notifications. Its methods are safe for
// concurrent use.
type Listener struct {
	store    *store.Store
	log      *slog.Logger
	holder   string           // names the connection on the server
	notifier dialect.Notifier // nil if the engine has none

	mu       sync.Mutex // guards the fields below, and the waiters of the connection
	current  *connection
	failed   bool // the connection failed at failedAt
	failedAt clock.Instant
}

// connection is one connection of the Listener.
type connection struct {
	l       *Listener
	ctx     context.Context // ends when no notifications arrive any more
	stop    context.CancelFunc
	ready   chan struct{}
	conn    dialect.Listener                   // set when ready; nil if opening it failed
	waiters map[string]chan<- dialect.Handover // by owner token
	idle    *time.Timer
}

// New returns the Listener of a Client. It opens no connection yet.
func New(s *store.Store, holder string, log *slog.Logger) *Listener {
	notifier, _ := s.Dialect.(dialect.Notifier)
	return &Listener{store: s, log: log, holder: holder, notifier: notifier}
}

// Works reports whether a waiter should expect notifications: they work, or they have not been
// tried.
func (l *Listener) Works() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.worksLocked()
}

func (l *Listener) worksLocked() bool {
	return l.notifier != nil && (!l.failed || clock.Now().Since(l.failedAt) >= retryAfter)
}

// Subscription is one waiter's share of the connection. A nil *Subscription gets no notifications.
type Subscription struct {
	c     *connection
	owner string
}

// Subscribe makes the hand-overs to an owner token arrive on the channel, which has room for one.
// It opens the connection if necessary, and waits for that until ctx ends. It returns nil if there
// are no notifications; the waiter then polls.
func (l *Listener) Subscribe(ctx context.Context, owner string, to chan<- dialect.Handover) *Subscription {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if !l.worksLocked() {
		l.mu.Unlock()
		return nil
	}
	c := l.current
	first := c == nil
	if first {
		c = &connection{l: l, ready: make(chan struct{}), waiters: make(map[string]chan<- dialect.Handover)}
		c.ctx, c.stop = context.WithCancel(l.store.Open())
		l.current = c
	}
	c.waiters[owner] = to
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
	l.mu.Unlock()
	if first {
		c.open(ctx)
	}
	select {
	case <-c.ready:
	case <-ctx.Done():
	}
	s := &Subscription{c, owner}
	if !s.Active() {
		s.End()
		return nil
	}
	return s
}

// open opens the connection and starts to listen.
func (c *connection) open(ctx context.Context) {
	defer close(c.ready)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := c.l.notifier.OpenListener(ctx, c.l.holder)
	if err == nil && c.l.store.Spawn(func() { c.listen(conn) }) {
		c.conn = conn
		return
	}
	if err == nil { // the Client is closed
		err = errors.Join(c.l.store.Open().Err(), conn.Close())
	}
	c.end(err)
}

// listen delivers notifications to the waiters, until the connection fails or is no longer needed.
func (c *connection) listen(conn dialect.Listener) {
	for {
		handover, err := conn.Next(c.ctx)
		if err != nil {
			c.end(err)
			if err := conn.Close(); err != nil {
				c.l.log.Debug("sqllock: closing the notification connection failed", "err", err)
			}
			return
		}
		c.l.mu.Lock()
		to := c.waiters[handover.Owner] // nil if the waiter has left; it finds out that its row is gone
		c.l.mu.Unlock()
		select {
		case to <- handover:
		default:
		}
	}
}

// end ends the connection. Waiters poll from now on.
func (c *connection) end(err error) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.endLocked(err)
}

func (c *connection) endLocked(err error) {
	l := c.l
	if l.current != c {
		return
	}
	l.current = nil
	c.stop()
	if err == nil || l.store.Open().Err() != nil {
		return
	}
	l.failed, l.failedAt = true, clock.Now()
	if errors.Is(err, dialect.ErrUnsupported) {
		l.log.Info("sqllock: no notifications here, waiters poll", "why", err)
		return
	}
	l.log.Warn("sqllock: the notification connection failed; waiters poll for a while", "err", err)
}

// Active reports whether notifications still arrive.
func (s *Subscription) Active() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.c.ready:
		return s.c.conn != nil && s.c.ctx.Err() == nil
	default:
		return false
	}
}

// Stopped returns a channel that is closed when no more notifications will arrive.
func (s *Subscription) Stopped() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.c.ctx.Done()
}

// Channel returns the channel that the database notifies, or "" if there is none.
func (s *Subscription) Channel() string {
	if s == nil {
		return ""
	}
	return s.c.conn.Channel()
}

// End ends the subscription. When the last one has ended, and no other begins for a while, the
// connection is closed.
func (s *Subscription) End() {
	if s == nil {
		return
	}
	c, l := s.c, s.c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(c.waiters, s.owner)
	if len(c.waiters) > 0 || l.current != c || c.idle != nil {
		return
	}
	c.idle = time.AfterFunc(idleTimeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(c.waiters) == 0 {
			c.endLocked(nil)
		}
	})
}
