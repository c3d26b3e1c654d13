package postgres

import (
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// crowd remembers the locks that were waited for lately, as far as this process has seen: by one who queued up here, or to
// whom one was handed over from here. The release of one tries to hand it over before it frees it, and looks once more
// after that. It is a guess about what is worth a statement, and nothing more.
type crowd struct {
	mu   sync.Mutex
	seen map[dialect.Key]time.Time
}

const (
	mostCrowded = 1000 // locks that are remembered
	crowdLasts  = time.Second
)

func (c *crowd) has(k dialect.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.seen[k]
	return ok && time.Since(at) < crowdLasts
}

func (c *crowd) saw(k dialect.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil || len(c.seen) >= mostCrowded {
		c.seen = make(map[dialect.Key]time.Time)
	}
	c.seen[k] = time.Now()
}
