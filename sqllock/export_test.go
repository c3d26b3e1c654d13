package sqllock

import (
	"time"
)

// Age makes the client's leases older, as if the process had been paused and no goroutine of it had
// run since.
func Age(c *Client, by time.Duration) {
	c.leases.mu.Lock()
	defer c.leases.mu.Unlock()
	for _, t := range c.leases.entries {
		l := t.readyLease()
		l.mu.Lock()
		l.validity.Sent = l.validity.Sent.Add(-by)
		l.mu.Unlock()
	}
}
