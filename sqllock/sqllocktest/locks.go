package sqllocktest

import (
	"context"
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Acquire implements dialect.Locks.
func (d *Dialect) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return each(ctx, d, OpAcquire, requests, func(now time.Time, r dialect.Request) dialect.Grant {
		l, ok := d.locks[r.Key]
		if !ok {
			l = &lock{}
			d.locks[r.Key] = l
		}
		free := l.leaseID == "" && !l.free.After(now)
		if !free && !d.owns(dialect.Claim{Key: r.Key, Owner: r.Owner}) {
			return dialect.Grant{}
		}
		return l.give(now, r)
	})
}

// Release implements dialect.Locks and, for those who wait to be told, dialect.Waker.
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpRelease, claims, func(now time.Time, c dialect.Claim) bool {
		if !d.owns(c) {
			return false
		}
		if !d.handOver(now, c) {
			d.locks[c.Key].freeFrom(now)
		}
		return true
	})
}

// Guard tells whether each lock still names the claim's owner. It ignores tx, which may be nil: nothing keeps the
// lock from being freed or released afterwards.
func (d *Dialect) Guard(ctx context.Context, _ *sql.Tx, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpGuard, claims, func(_ time.Time, c dialect.Claim) bool { return d.owns(c) })
}

// Raise implements dialect.Locks.
func (d *Dialect) Raise(ctx context.Context, raises []dialect.Raise) ([]bool, error) {
	for _, r := range raises {
		if err := r.Check(); err != nil {
			return nil, err
		}
	}
	return each(ctx, d, OpRaise, raises, func(_ time.Time, r dialect.Raise) bool {
		if !d.owns(r.Claim) {
			return false
		}
		d.locks[r.Key].fence = max(d.locks[r.Key].fence, r.Fence)
		return true
	})
}

// Free implements dialect.Locks.
func (d *Dialect) Free(ctx context.Context, orphans []dialect.Orphan) ([]bool, error) {
	return each(ctx, d, OpFree, orphans, func(now time.Time, o dialect.Orphan) bool {
		l, ok := d.locks[o.Key]
		if !ok || l.leaseID == "" || l.leaseID != o.LeaseID || l.fence != o.Fence {
			return false
		}
		l.freeFrom(now.Add(max(0, l.delay-o.Overdue)))
		return true
	})
}

// Purge implements dialect.Locks.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	purged := 0
	err := d.do(ctx, OpPurge, func(now time.Time) {
		for key, l := range d.locks {
			// A fence that is ahead of the clock would go backwards if its row were created again.
			if purged < limit && l.leaseID == "" && l.free.Add(idle).Before(now) && l.fence < now.UnixMicro() {
				delete(d.locks, key)
				purged++
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}

func (d *Dialect) owns(c dialect.Claim) bool {
	l, ok := d.locks[c.Key]
	return ok && l.owner != "" && l.owner == c.Owner
}

// give makes the lock the request's.
func (l *lock) give(now time.Time, r dialect.Request) dialect.Grant {
	l.fence = max(l.fence+1, now.UnixMicro())
	l.leaseID, l.owner, l.note = r.LeaseID, r.Owner, r.Note
	l.acquired, l.free, l.delay = now, now.Add(r.HoldAtLeast), r.LockDelay
	return dialect.Grant{Granted: true, Fence: l.fence}
}

// freeFrom lets the lock go: it is free from then on, but not before its holder's HoldAtLeast.
func (l *lock) freeFrom(then time.Time) {
	l.leaseID, l.owner = "", ""
	if then.After(l.free) {
		l.free = then
	}
}
