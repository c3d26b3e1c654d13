package sqllock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// lease is this process's side of what keeps its locks: a row in sqllock_leases, or a session of
// the server.
type lease struct {
	c       *core
	entry   *leaseEntry
	backend backend
	id      string
	leaseKey
	stop chan struct{} // closed when the lease is over

	mu       sync.Mutex
	validity clock.Validity
	failure  error // of the last heartbeat; nil if it succeeded
	locks    map[*Lock]struct{}

	users  int                     // locks, and acquisitions in progress
	idle   clock.Instant           // since when there are no users
	over   bool                    // closed, lost or expired while idle: no more locks under it
	lapsed bool                    // over only because no heartbeat has succeeded in time
	cause  func(name string) error // returns why it is over, for the lock of that name
}

// trusted returns how long the lease lasts by the clock of any server that may judge it. The server
// of a session judges nothing: the session ends with it.
func (l *lease) trusted() time.Duration {
	if l.session {
		return l.ttl
	}
	return l.ttl - l.c.opts.ClockSkew
}

// addUser adds the caller to the lease's users. It returns false if the lease can no longer be
// used.
func (l *lease) addUser() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.validity.Remaining(clock.Now()) <= 0 {
		return false
	}
	l.users++
	return true
}

// removeUser removes the caller from the lease's users.
func (l *lease) removeUser() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	if l.users == 0 {
		l.idle = clock.Now()
	}
}

// ended reports whether this process has ended the lease.
func (l *lease) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// remaining returns for how long the lease can still be relied on. Zero or less means that it
// can't.
func (l *lease) remaining() time.Duration { return l.remainingAt(clock.Now()) }

func (l *lease) remainingAt(now clock.Instant) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0
	}
	return l.validity.Remaining(now)
}

// lasts returns for how long the database certainly keeps the lease. A lease that lapsed lasts a
// little longer than it can be relied on, except for a session, whose connection is closed then.
func (l *lease) lasts() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over && (!l.lapsed || l.session) {
		return 0
	}
	return max(l.validity.Lasts(clock.Exactly()), 0)
}

// hold puts a lock that was just granted under the lease. The lock takes over the caller's place
// among the users. It returns false if the lease could no longer be relied on when the grant
// arrived, so that the grant does not count.
func (l *lease) hold(lock *Lock) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.validity.Remaining(clock.Now()) <= 0 {
		return false
	}
	l.locks[lock] = struct{}{}
	return true
}

// errGrantTooLate means that a grant came when its lease could no longer be relied on, for instance
// in a process that was frozen.
var errGrantTooLate = fmt.Errorf("%w: the database's answer came too late", ErrNotAcquired)

// grant makes a lock that was granted the caller's, unless the grant came too late.
func (l *lease) grant(caller context.Context, lock *Lock) (*Lock, error) {
	lock.c, lock.lease = l.c, l
	locks := append(heldIn(caller), lock)
	if l.c.tracers != nil {
		caller, lock.hold = callerOf(caller), &holdTrace{tracers: l.c.tracers.holds}
	}
	held := &heldContext{store.WithoutCancel(caller), locks}
	ctx, cancel := context.WithCancelCause(held)
	lock.ctx, lock.cancel = clock.Context{Context: ctx, Of: (*lockEnder)(lock)}, cancel
	if !l.hold(lock) {
		lock.cancel(context.Canceled)
		l.removeUser()
		l.backend.releaseLater(l, lock.claim, lock.doubtWindow())
		return nil, l.tooLate(lock.claim.Name)
	}
	l.c.counts.acquired.Add(1)
	return lock, nil
}

// tooLate returns the error for a grant that arrived after its lease was over.
func (l *lease) tooLate(name string) error {
	if l.c.store.Open().Err() != nil {
		return errClosed
	}
	return fmt.Errorf("sqllock: %w: %q under a lease of %s", errGrantTooLate, name, l.ttl)
}

// drop removes a released lock.
func (l *lease) drop(lock *Lock) {
	l.mu.Lock()
	delete(l.locks, lock)
	l.mu.Unlock()
	l.removeUser()
}

// renewed extends the validity by a renewal that was sent at that moment. A lease that was seen to
// be over stays over, since others have acted on that; keep ends it.
func (l *lease) renewed(sent clock.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.validity.Remaining(clock.Now()) > 0 {
		l.validity, l.failure = l.validity.Renewed(sent), nil
	}
}

// err returns nil as long as the lease can be relied on. Otherwise it returns why the lock of that
// name is over.
func (l *lease) err(name string) error {
	if l.remainingAt(clock.Exactly()) > 0 {
		return nil
	}
	if err := l.endedWith(name); err != nil {
		return err
	}
	return lost(name, l.expiredReason())
}

// endedWith returns the error with which the lease was ended for the lock of that name, or nil if
// it was not ended.
func (l *lease) endedWith(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		return nil
	}
	return l.cause(name)
}

// end ends the lease on this side, once, and ends the contexts of its locks with cause(name). It
// returns the locks that were held.
func (l *lease) end(cause func(name string) error) []*Lock {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return nil
	}
	l.over, l.cause = true, cause
	close(l.stop)
	locks := make([]*Lock, 0, len(l.locks))
	for lock := range l.locks {
		locks = append(locks, lock)
	}
	l.mu.Unlock()

	l.c.leases.forget(l.leaseKey, l.entry)
	for _, lock := range locks {
		why := cause(lock.claim.Name)
		lock.cancel(why)
		if !lock.released.Load() { // otherwise Release finds out what became of it
			lock.noteEnded(why)
		}
	}
	return locks
}

// lose ends the lease because it can no longer be relied on.
func (l *lease) lose(why string) {
	locks := l.end(func(name string) error { return lost(name, why) })
	if len(locks) > 0 {
		l.c.counts.lowest.note(margin{0, l.ttl}, time.Now())
		l.c.log.Error("sqllock: locks lost", "locks", firstNames(locks), "count", len(locks), "why", why,
			"lease", l.id, "ttl", l.ttl.String())
	}
	l.backend.abandon()
}

// maxLoggedNames bounds how many locks a line of the log names.
const maxLoggedNames = 10

// firstNames returns the names of the locks, in order, up to maxLoggedNames.
func firstNames(locks []*Lock) []string {
	names := make([]string, len(locks))
	for i, lock := range locks {
		names[i] = lock.Name()
	}
	slices.Sort(names)
	return names[:min(len(names), maxLoggedNames)]
}

// expireIdle ends the lease if nobody has used it for a whole TTL. It reports whether it did.
func (l *lease) expireIdle() bool {
	l.mu.Lock()
	unused := l.users == 0 && clock.Now().Since(l.idle) >= l.ttl
	if unused && !l.over {
		l.over = true
		close(l.stop)
	}
	l.mu.Unlock()
	if unused {
		l.c.leases.forget(l.leaseKey, l.entry)
	}
	return unused
}

// expiredReason returns why the lease was given up although the database never said that it had
// expired.
func (l *lease) expiredReason() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := fmt.Sprintf("no heartbeat has succeeded for %s of a TTL of %s",
		clock.Now().Since(l.validity.Sent).Round(time.Millisecond), l.ttl)
	if l.failure != nil {
		why += fmt.Sprintf(" (the last one: %v)", l.failure)
	}
	return why
}

// missed records why a heartbeat failed.
func (l *lease) missed(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = why
}

// renewal is the result of a heartbeat.
type renewal struct {
	sent clock.Instant
	err  error
}

// keep is the heartbeat of one lease: one statement per interval, whatever the number of locks
// under it. It ends the lease at the moment when it can no longer be relied on, even while a
// statement is stuck.
func (l *lease) keep() {
	var inFlight chan renewal // nil between heartbeats
	last, interval := l.validity.Sent, clock.HeartbeatInterval(l.trusted())
	for {
		left := l.remainingAt(clock.Exactly())
		if left <= 0 {
			l.mu.Lock()
			l.lapsed = !l.over
			l.mu.Unlock()
			l.lose(l.expiredReason())
			return
		}
		due := interval - clock.Now().Since(last)
		if inFlight == nil && due <= 0 {
			if l.expireIdle() {
				l.deleteIdle()
				return
			}
			last = clock.Now()
			inFlight = l.heartbeat(last, l.backend.heartbeatTimeout(l, left))
			continue
		}
		// A timer doesn't run while the machine is suspended, so read the clock at least once a
		// second.
		wait := min(left, time.Second)
		if inFlight == nil {
			wait = min(wait, due)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case r := <-inFlight:
			inFlight = nil
			last, interval = l.handleReply(r)
		case <-l.stop:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// heartbeat sends one heartbeat without waiting for the reply.
func (l *lease) heartbeat(sent clock.Instant, timeout time.Duration) chan renewal {
	answer := make(chan renewal, 1)
	started := l.c.store.Spawn(func() {
		ctx, cancel := l.c.store.Within(timeout)
		defer cancel()
		answer <- renewal{sent: sent, err: l.send(ctx)}
	})
	if !started {
		return nil
	}
	return answer
}

// send sends a heartbeat and waits for the reply.
func (l *lease) send(ctx context.Context) error {
	t := l.c.tracers
	if t == nil {
		return l.backend.heartbeat(ctx, l)
	}
	data := HeartbeatEndData{HeartbeatStartData: l.data()}
	traced := started(ctx, t.heartbeats, HeartbeatTracer.HeartbeatStart, data.HeartbeatStartData)
	began := time.Now()
	err := l.backend.heartbeat(traced, l)
	data.Duration, data.Margin = time.Since(began), l.remaining()
	if !l.ended() { // otherwise this process has ended the lease meanwhile, and nothing has failed
		data.Err, data.Over = err, errors.Is(err, errOver)
	}
	for _, tracer := range t.heartbeats {
		tracer.HeartbeatEnd(traced, data)
	}
	return err
}

// data describes the lease for tracers.
func (l *lease) data() HeartbeatStartData {
	l.mu.Lock()
	defer l.mu.Unlock()
	return HeartbeatStartData{TTL: l.ttl, Session: l.session, Held: len(l.locks)}
}

// handleReply handles a heartbeat's reply. from is when the wait for the next heartbeat starts, and
// interval is how long that wait is.
func (l *lease) handleReply(r renewal) (from clock.Instant, interval time.Duration) {
	if !l.ended() { // otherwise this process has ended it meanwhile, and the reply is of no interest
		l.c.counts.heartbeat(margin{l.remaining(), l.ttl}, r.err)
	}
	switch {
	case errors.Is(r.err, errOver):
		l.lose(r.err.Error())
	case r.err != nil:
		l.missed(r.err)
		l.c.store.Reconnect(r.err)
		l.c.log.Warn("sqllock: heartbeat failed; trying again",
			"lease", l.id, "left", l.remaining().String(), "err", r.err)
		return clock.Now(), store.Jitter(min(l.ttl/20, store.OperationTimeout))
	default:
		l.renewed(r.sent)
	}
	return r.sent, clock.HeartbeatInterval(l.trusted())
}

// deleteIdle deletes a lease that nobody used. If that fails, the lease expires by itself.
func (l *lease) deleteIdle() {
	ctx, cancel := l.c.store.Within(store.OperationTimeout)
	defer cancel()
	if err := l.backend.end(ctx, l); err != nil {
		l.c.log.Debug("sqllock: ending an idle lease failed; it will expire", "lease", l.id, "err", err)
	}
}
