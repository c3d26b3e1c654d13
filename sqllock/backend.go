package sqllock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/clock"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// backend is the database's side of a lease. It decides how locks are acquired and released under
// the lease.
type backend interface {
	// take acquires a lock under l. The caller is a user of l.
	take(ctx, caller context.Context, l *lease, req acquisition, readFirst bool) (*Lock, error)

	// release releases the lock. ours is false if the lock wasn't ours. After an error the lock is
	// released in the background, or the lease has ended.
	release(ctx context.Context, lock *Lock) (ours bool, err error)

	// releaseLater releases in the background a claim that nobody waits for any more. An earlier
	// request for the claim may still be carried out for the duration of late.
	releaseLater(l *lease, claim dialect.Claim, late time.Duration)

	// heartbeat sends one heartbeat. errOver means that the lease is certainly over. After any
	// other error the heartbeat is tried again.
	heartbeat(ctx context.Context, l *lease) error

	// heartbeatTimeout returns how long one heartbeat may take. left is the time that is left of
	// the lease.
	heartbeatTimeout(l *lease, left time.Duration) time.Duration

	// end removes the lease from the database. It is called when nothing is held under the lease
	// any more, or when everything may be released.
	end(ctx context.Context, l *lease) error

	// abandon is end for a lease that was lost. The database may be unreachable.
	abandon()
}

// errOver means that the lease is certainly over.
var errOver = errors.New("the lease is over")

// leaseBackend is the backend of a lease that is a row of sqllock_leases.
type leaseBackend struct{ c *core }

// maxHeartbeatTimeout bounds one heartbeat if the TTL is long, so that a stuck connection does not
// use up the time for another try.
const maxHeartbeatTimeout = 10 * time.Second

func (a leaseBackend) heartbeat(ctx context.Context, l *lease) error {
	alive, err := a.c.store.RenewLeases(ctx, []string{l.id})
	if err == nil && !alive[0] {
		return fmt.Errorf("%w: it had run out, by the database's clock", errOver)
	}
	if err == nil {
		a.c.store.Answered(time.Now())
	}
	return err
}

func (a leaseBackend) heartbeatTimeout(l *lease, left time.Duration) time.Duration {
	return min(left, clock.HeartbeatInterval(l.trusted()), maxHeartbeatTimeout)
}

func (a leaseBackend) end(ctx context.Context, l *lease) error {
	return a.c.store.DeleteLeases(ctx, []string{l.id})
}

func (a leaseBackend) abandon() {}

func (a leaseBackend) release(ctx context.Context, l *Lock) (ours bool, err error) {
	found := false
	defer func() {
		if l.inDoubt || !found {
			a.releaseLater(l.lease, l.claim, l.doubtWindow())
		}
	}()
	l.entry.awaitRemoval(ctx)
	// wanted: others are waiting and go before our own waiters.
	// doubt: it is unknown whether the lock was handed off.
	var wanted, doubt bool
	if h := a.c.queues.take(l); h != nil {
		if a.c.store.Releases.Idle() {
			passed, inDoubt, err := a.transfer(ctx, l, h)
			if passed {
				found = true
				return true, nil
			}
			wanted, doubt = err == nil, inDoubt
		}
		a.c.queues.offer(h)
	}
	found, inDoubt, err := a.c.store.ReleaseLock(ctx, l.claim)
	if err != nil {
		return false, a.c.store.failed(fmt.Sprintf("releasing lock %q; retrying in the background until its lease ends",
			l.Name()), err)
	}
	// If the lock isn't ours after a try whose reply was lost, and our lease is alive, then that
	// try released it.
	ours = found || (inDoubt || doubt) && l.lease.remaining() > 0
	switch key := l.queueKey(); {
	case ours && wanted: // the other processes go first, if they come
		time.AfterFunc(busyPoll, func() { a.c.queues.freed(key) })
	case ours:
		a.c.queues.freed(key)
	}
	return ours, nil
}

// releaseOnce releases a claim of nobody's, and wakes the local waiters. It reports whether the
// claim was there.
func (a leaseBackend) releaseOnce(ctx context.Context, l *lease, claim dialect.Claim) (found bool, err error) {
	if found, err = a.c.store.ReleaseOnce(ctx, claim); err == nil && found {
		a.c.queues.freed(l.queueKey(claim.Key))
	}
	return found, err
}

// retryUntilCertain repeats remove until its effect is certain: it has succeeded, and late has
// passed, after which no earlier request can still arrive. It also ends when the lease is over, and
// with it what was requested under it.
//
// remove reports whether it has found what it removes. If it hasn't, it may have asked a server
// that was the primary until a moment ago and doesn't know what the next one has granted. So it is
// repeated for up to a TTL. Within that time a heartbeat has reached the primary, or the lease is
// over.
func (l *lease) retryUntilCertain(late time.Duration, remove func(ctx context.Context) (found bool, err error)) {
	started := clock.Now()
	for backoff := store.FirstBackoff; ; backoff *= 2 {
		found, err := remove(l.c.store.Operation(context.Background()))
		until := late
		if !found {
			until = max(late, l.ttl)
		}
		left := until - clock.Now().Since(started)
		switch {
		case err != nil:
			backoff = min(backoff, store.MaxBackoff)
		case left <= 0:
			return
		default: // most requests arrive soon, or never
			backoff = max(min(backoff, left), store.FirstBackoff)
		}
		if l.remaining() <= 0 || !store.Sleep(l.c.store.Open(), store.Jitter(backoff)) {
			return
		}
	}
}

// releaseLater releases the claim in the background. It is for a lock that was granted to nobody,
// for a request without a reply, which the server may carry out late or twice, and for a lock whose
// release found that it wasn't ours.
func (a leaseBackend) releaseLater(l *lease, claim dialect.Claim, late time.Duration) {
	a.c.store.Spawn(func() {
		l.retryUntilCertain(late, func(ctx context.Context) (bool, error) { return a.releaseOnce(ctx, l, claim) })
	})
}
