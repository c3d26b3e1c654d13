package sqllock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Limits of the connection on which wake-ups are heard.
const (
	openEarFor = 3 * time.Second  // to open it: a waiter waits for that once
	deafFor    = 10 * time.Second // after it failed, waiters poll for so long before it is tried again
	idleEar    = time.Minute      // without waiters it is closed
)

// ear is what hears of hand-overs, for all waiters of a Client, on one connection that is open while somebody waits.
type ear struct {
	c     *Client
	waker dialect.Waker // nil: waiters poll

	mu       sync.Mutex // guards what follows, and the seats of the hearing
	now      *hearing
	failed   bool // at failedAt
	failedAt moment
}

// hearing is one connection.
type hearing struct {
	ear   *ear
	ctx   context.Context // ends when nothing is heard any more
	stop  context.CancelFunc
	ready chan struct{}
	wakes dialect.Wakes // once ready; nil: it failed
	seats map[string]*seat
	idle  *time.Timer
}

// newEar is for a Client that wants wake-ups, where the engine has them.
func newEar(c *Client) *ear {
	e := &ear{c: c}
	if waker, ok := c.dialect.(dialect.Waker); ok && !c.opts.PollOnly {
		e.waker = waker
	}
	return e
}

// listens tells whether a waiter should sit down to be told: there are wake-ups, or they haven't been tried.
func (e *ear) listens() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listensLocked()
}

func (e *ear) listensLocked() bool {
	return e.waker != nil && (!e.failed || now().since(e.failedAt) >= deafFor)
}

// listen opens the connection if need be, and lets it hear for the seat. Nil: nothing is heard, the seat polls.
func (e *ear) listen(ctx context.Context, s *seat) *hearing {
	e.mu.Lock()
	if !e.listensLocked() {
		e.mu.Unlock()
		return nil
	}
	waker, h := e.waker, e.now
	first := h == nil
	if first {
		h = &hearing{ear: e, ready: make(chan struct{}), seats: make(map[string]*seat)}
		h.ctx, h.stop = context.WithCancel(e.c.open)
		e.now = h
	}
	h.seats[s.request.Owner] = s
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	e.mu.Unlock()
	if first {
		h.open(ctx, waker)
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
	}
	if !h.hears() {
		h.forget(s)
		return nil
	}
	return h
}

// open connects, and listens from then on.
func (h *hearing) open(ctx context.Context, waker dialect.Waker) {
	defer close(h.ready)
	ctx, cancel := context.WithTimeout(ctx, openEarFor)
	defer cancel()
	wakes, err := waker.OpenWakes(ctx, h.ear.c.opts.Holder)
	if err == nil && h.ear.c.spawn(func() { h.listen(wakes) }) {
		h.wakes = wakes
		return
	}
	if err == nil { // the Client is closed
		err = errors.Join(ErrClosed, wakes.Close())
	}
	h.end(err)
}

// listen tells the seats what is heard, until the connection fails or isn't needed any more.
func (h *hearing) listen(wakes dialect.Wakes) {
	for {
		news, err := wakes.Next(h.ctx)
		if err != nil {
			h.end(err)
			if err := wakes.Close(); err != nil {
				h.ear.c.log.Debug("sqllock: closing the connection of the wake-ups", "err", err)
			}
			return
		}
		h.ear.mu.Lock()
		s := h.seats[news.Owner]
		h.ear.mu.Unlock()
		if s != nil { // else its waiter has gone, and finds out that its row has
			select {
			case s.news <- news:
			default:
			}
		}
	}
}

// end is when nothing is heard any more. Those who wait poll from now on.
func (h *hearing) end(err error) {
	h.ear.mu.Lock()
	defer h.ear.mu.Unlock()
	h.endLocked(err)
}

func (h *hearing) endLocked(err error) {
	e := h.ear
	if e.now != h {
		return
	}
	e.now = nil
	h.stop()
	if err == nil || e.c.open.Err() != nil {
		return
	}
	if errors.Is(err, dialect.ErrUnsupported) {
		e.waker = nil
		e.c.log.Info("sqllock: no wake-ups here, waiters poll", "why", err)
		return
	}
	e.failed, e.failedAt = true, now()
	e.c.log.Warn("sqllock: the connection of the wake-ups failed; waiters poll for a while", "err", err)
}

// hears tells whether messages still come.
func (h *hearing) hears() bool {
	if h == nil {
		return false
	}
	select {
	case <-h.ready:
		return h.wakes != nil && h.ctx.Err() == nil
	default:
		return false
	}
}

// channel is what the database is told to call on; empty where nothing is heard.
func (h *hearing) channel() string {
	if h == nil {
		return ""
	}
	return h.wakes.Channel()
}

// forget ends the hearing of one seat; when the last has gone, and nobody comes for a while, the connection is closed.
func (h *hearing) forget(s *seat) {
	if h == nil {
		return
	}
	e := h.ear
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(h.seats, s.request.Owner)
	if len(h.seats) > 0 || e.now != h || h.idle != nil {
		return
	}
	h.idle = time.AfterFunc(idleEar, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(h.seats) == 0 {
			h.endLocked(nil)
		}
	})
}

// hears tells whether the seat will be told.
func (s *seat) hears() bool { return s != nil && s.ear.hears() }

// deaf is closed when a seat that was to be told won't be.
func (s *seat) deaf() <-chan struct{} {
	if s == nil || s.ear == nil {
		return nil
	}
	return s.ear.ctx.Done()
}

// deafened makes it a seat that polls. Its row still has the channel, so a hand-over is found by looking.
func (s *seat) deafened() { s.ear = nil }

// told is what is heard of a hand-over; from no seat, never.
func (s *seat) told() <-chan dialect.Handover {
	if s == nil {
		return nil
	}
	return s.news
}
