package sqllock

import (
	"fmt"
	"sync"
	"time"
)

// lease is the process's side of what keeps its locks: a row in sqllock_leases, or a session of the server.
type lease struct {
	c      *Client
	tenure *tenure
	anchor anchor
	id     string
	term
	stop chan struct{} // closed when over

	mu    sync.Mutex
	trust trust
	locks map[*Lock]struct{}

	readers map[string]bool // names that have some
	users   int             // locks, and acquisitions under way
	idle    moment          // since when there are none
	over    bool            // ended, lost or retired: no more locks under it
}

// use counts the caller among the lease's users. False: the lease can't be used any longer.
func (l *lease) use() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.trust.left(now()) <= 0 {
		return false
	}
	l.users++
	return true
}

// unuse takes back a use.
func (l *lease) unuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	if l.users == 0 {
		l.idle = now()
	}
}

// left is how long the lease can be relied on; zero or less: no longer.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0
	}
	return l.trust.left(now())
}

// hold puts a lock that was just granted under the lease; its caller's use goes over to the lock. False: the
// lease couldn't be relied on any more when the grant arrived, so it isn't one.
func (l *lease) hold(lock *Lock) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.trust.left(now()) <= 0 {
		return false
	}
	l.locks[lock] = struct{}{}
	return true
}

// drop is what a released lock does.
func (l *lease) drop(lock *Lock) {
	l.mu.Lock()
	delete(l.locks, lock)
	l.mu.Unlock()
	l.unuse()
}

// renewed lengthens the trust by a renewal sent at that moment. A lease that was seen to be over stays over, since others have
// acted on that: keep ends it.
func (l *lease) renewed(sent moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trust.left(now()) > 0 {
		l.trust = l.trust.renewed(sent)
	}
}

// end finishes the lease on this side, once, and ends the contexts of its locks with cause(name). It answers the
// locks that were held.
func (l *lease) end(cause func(name string) error) []*Lock {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return nil
	}
	l.over = true
	close(l.stop)
	locks := make([]*Lock, 0, len(l.locks))
	for lock := range l.locks {
		locks = append(locks, lock)
	}
	l.mu.Unlock()

	l.c.forget(l.term, l.tenure)
	for _, lock := range locks {
		lock.cancel(cause(lock.claim.Name))
	}
	return locks
}

// lose ends the lease because it can't be relied on any longer.
func (l *lease) lose(why string) {
	locks := l.end(func(name string) error { return lost(name, why) })
	if len(locks) > 0 {
		l.c.log.Error("sqllock: locks lost", "count", len(locks), "why", why, "lease", l.id, "ttl", l.ttl)
	}
	l.anchor.abandon()
}

// retire ends the lease if nobody has used it for a whole TTL. False: somebody did.
func (l *lease) retire() bool {
	l.mu.Lock()
	unused := l.users == 0 && now().since(l.idle) >= l.ttl
	if unused && !l.over {
		l.over = true
		close(l.stop)
	}
	l.mu.Unlock()
	if unused {
		l.c.forget(l.term, l.tenure)
	}
	return unused
}

// outlived says why the lease was given up though the database never said that it had run out.
func (l *lease) outlived() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("no heartbeat has succeeded for %s of a TTL of %s",
		now().since(l.trust.sent).Round(time.Millisecond), l.ttl)
}
