package sqllock

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// anchor is what a lease is on the database's side, and so how locks are taken and let go under it.
type anchor interface {
	// take asks for the lock under l, of which the caller is a user.
	take(ctx, caller context.Context, l *lease, w wish, looking bool) (*Lock, error)

	// guard is Lock.Guard, of a lock that is trusted.
	guard(ctx context.Context, tx *sql.Tx, lock *Lock) error

	// release lets go of the lock. False: it wasn't ours. After an error it is settled already, or goes on being so.
	release(ctx context.Context, lock *Lock) (ours bool, err error)

	// settle releases in the background what nobody waits for any more.
	settle(l *lease, claim dialect.Claim, late time.Duration)

	// beat is one heartbeat. errOver: the lease is over, for certain; any other error: try again.
	beat(ctx context.Context, l *lease) error

	// patience is how long one heartbeat may take of what is left of the lease.
	patience(l *lease, left time.Duration) time.Duration

	// end gives the database back what it keeps for a lease under which nothing is held, or all may be let go.
	end(ctx context.Context, l *lease) error

	// abandon is end for a lease that was lost: there may be nobody to talk to.
	abandon()
}

// errOver ends a lease.
var errOver = errors.New("the lease is over")

// rowAnchor is a row of sqllock_leases.
type rowAnchor struct{ c *Client }

// beatTimeout bounds one heartbeat where the TTL is long: a stuck connection must not use up the time of another try.
const beatTimeout = 10 * time.Second

func (a rowAnchor) beat(ctx context.Context, l *lease) error {
	alive, err := a.c.dialect.RenewLeases(ctx, []string{l.id})
	if err == nil && !alive[0] {
		return fmt.Errorf("%w: it had run out, by the database's clock", errOver)
	}
	return err
}

func (a rowAnchor) patience(l *lease, left time.Duration) time.Duration {
	return min(left, beatEvery(l.ttl), beatTimeout)
}

func (a rowAnchor) end(ctx context.Context, l *lease) error {
	return a.c.dialect.DeleteLeases(ctx, []string{l.id})
}

func (a rowAnchor) abandon() {}

func (a rowAnchor) guard(ctx context.Context, tx *sql.Tx, l *Lock) error {
	ours, err := a.c.dialect.Guard(ctx, tx, []dialect.Claim{l.claim})
	switch {
	case err != nil:
		return a.c.failed(fmt.Sprintf("guarding lock %q", l.Name()), err)
	case ours[0]:
		return nil
	case a.oursElsewhere(ctx, l.claim):
		return invalid("Guard of lock %q: the transaction began before the lock was acquired; begin it afterwards", l.Name())
	}
	err = lost(l.Name(), "it is another's by now")
	l.cancel(err)
	return err
}

// oursElsewhere tells whether a look from outside the guarded transaction still finds the lock ours.
func (a rowAnchor) oursElsewhere(ctx context.Context, claim dialect.Claim) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	rows, err := a.c.dialect.Look(ctx, []dialect.Key{claim.Key})
	return err == nil && rows[0].Owner == claim.Owner
}

func (a rowAnchor) release(ctx context.Context, l *Lock) (bool, error) {
	defer func() {
		if l.unsure {
			a.settle(l.lease, l.claim, l.late())
		}
	}()
	l.seat.awaitOut(ctx)
	var wanted, doubt bool // by others, who go before our own; whether it was passed on
	if h := a.c.heirOf(l); h != nil {
		if a.c.releases.idle() {
			passed, unsure, err := a.pass(ctx, l, h)
			if passed {
				return true, nil
			}
			wanted, doubt = err == nil, unsure
		}
		h.offer(a.c)
	}
	var ours bool
	unsure, err := a.c.retry(ctx, func(ctx context.Context) (err error) {
		ours, err = a.c.release(ctx, l.claim)
		return err
	})
	if err != nil {
		if !l.unsure {
			a.settle(l.lease, l.claim, 0)
		}
		return false, a.c.failed(fmt.Sprintf("releasing lock %q; trying on in the background", l.Name()), err)
	}
	// Not ours, after a try whose reply was lost and under a lease that still lives: that try released it.
	ours = ours || (unsure || doubt) && l.lease.left() > 0
	switch p := l.place(); {
	case ours && wanted: // they go first, if they come
		time.AfterFunc(busyPoll, func() { a.c.freed(p) })
	case ours:
		a.c.freed(p)
	}
	return ours, nil
}
