package sqllock

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// place names a line: lease locks and session locks of one name are different locks. Of a semaphore, those who want one of so
// many permits have a line: who wants one of fewer may have to wait where they needn't.
type place struct {
	dialect.Key
	session bool
	permits int
}

// line is where the goroutines of this process wait for one name, first come first served. Only its head talks to
// the database, so a thousand of them are one waiter there.
type line struct {
	turn   chan struct{} // holds a token while somebody is the head; blocked senders are served in order
	freed  chan struct{} // this process has released the lock
	people int           // in line, head included; guarded by Client.mu
	heir   *heir         // the head, while it waits for the lock; likewise
}

// enter waits until the caller is the head of the line at p.
func (c *Client) enter(ctx context.Context, p place) (*line, error) {
	c.mu.Lock()
	ln := c.lines[p]
	if ln == nil {
		ln = &line{turn: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
		c.lines[p] = ln
	}
	ln.people++
	c.mu.Unlock()

	select {
	case ln.turn <- struct{}{}:
		return ln, nil
	case <-ctx.Done():
		c.quit(p, ln)
		return nil, gaveUp(ctx, p.Name, nil)
	case <-c.open.Done():
		c.quit(p, ln)
		return nil, errClosed
	}
}

// leave is what the head does when it is done: the next one's turn.
func (c *Client) leave(p place, ln *line) {
	<-ln.turn
	c.quit(p, ln)
}

func (c *Client) quit(p place, ln *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ln.people--; ln.people == 0 {
		delete(c.lines, p)
	}
}

// freed wakes the head of the line at p: hand-over within a process needs no poll.
func (c *Client) freed(p place) {
	c.mu.Lock()
	ln := c.lines[p]
	c.mu.Unlock()
	if ln == nil {
		return
	}
	select {
	case ln.freed <- struct{}{}:
	default:
	}
}

// A name that was waited for is looked at before it is asked for, for a while: there may be nothing to win.
const (
	busyFor  = time.Second
	maxNames = 1000 // that are remembered
)

// contends remembers that somebody else had the lock.
func (c *Client) contends(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.busy) >= maxNames {
		clear(c.busy)
	}
	c.busy[p] = time.Now()
}

// contended tells whether somebody else had the lock a moment ago.
func (c *Client) contended(p place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.busy[p]
	return ok && time.Since(seen) < busyFor
}
