package postgres

import (
	"sync"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// recentWaiters remembers the locks that had waiters within the last second, as far as this process
// knows: a waiter enqueued here, or a release here handed the lock over. The release of such a lock
// tries to hand it over before it frees it, and looks for a waiter once more after that. It only
// predicts which statements are worth sending; correctness doesn't depend on it.
type recentWaiters struct {
	mu   sync.Mutex
	seen map[dialect.Key]time.Time
}

const (
	maxRecent = 1000        // locks that are remembered at most
	recentFor = time.Second // how long a lock counts as recently waited for
)

func (r *recentWaiters) has(k dialect.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.seen[k]
	return ok && time.Since(at) < recentFor
}

func (r *recentWaiters) saw(k dialect.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= maxRecent {
		r.seen = make(map[dialect.Key]time.Time)
	}
	r.seen[k] = time.Now()
}
