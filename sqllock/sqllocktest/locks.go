package sqllocktest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Acquire implements [dialect.Locks].
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
		return l.assign(now, r)
	})
}

// Release implements [dialect.Locks] and, for waiters that are notified, [dialect.Notifier].
func (d *Dialect) Release(ctx context.Context, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpRelease, claims, d.releaseOwned)
}

// releaseOwned frees the lock that names the claim's owner, or gives it to the next waiter. The
// caller holds mu.
func (d *Dialect) releaseOwned(now time.Time, c dialect.Claim) bool {
	if !d.owns(c) {
		return false
	}
	if !d.handOver(now, c) {
		d.locks[c.Key].release(now, 0)
	}
	return true
}

// Guard reports whether each lock still names the claim's owner. It ignores tx, which may be nil,
// so nothing keeps the lock from being freed or released afterwards.
func (d *Dialect) Guard(ctx context.Context, _ dialect.Tx, claims []dialect.Claim) ([]bool, error) {
	return each(ctx, d, OpGuard, claims, func(_ time.Time, c dialect.Claim) bool { return d.owns(c) })
}

// AdvanceFence implements [dialect.Locks].
func (d *Dialect) AdvanceFence(ctx context.Context, advances []dialect.FenceAdvance) ([]bool, error) {
	for _, a := range advances {
		if err := a.Check(); err != nil {
			return nil, err
		}
	}
	return each(ctx, d, OpAdvanceFence, advances, func(_ time.Time, a dialect.FenceAdvance) bool {
		if !d.owns(a.Claim) {
			return false
		}
		d.locks[a.Key].fence = max(d.locks[a.Key].fence, a.Fence)
		return true
	})
}

// Free implements [dialect.Locks].
func (d *Dialect) Free(ctx context.Context, holders []dialect.DeadHolder) ([]bool, error) {
	return each(ctx, d, OpFree, holders, func(now time.Time, h dialect.DeadHolder) bool {
		l, ok := d.locks[h.Key]
		if !ok || l.leaseID == "" || l.leaseID != h.LeaseID || l.fence != h.Fence {
			return false
		}
		l.release(now, l.delay-h.ExpiredFor)
		return true
	})
}

// EndBars implements [dialect.Locks].
func (d *Dialect) EndBars(ctx context.Context, bars []dialect.Bar) ([]bool, error) {
	return each(ctx, d, OpEndBars, bars, func(now time.Time, b dialect.Bar) bool {
		l, ok := d.locks[b.Key]
		if !ok || l.leaseID != "" || l.fence != b.Fence || !l.free.After(now) {
			return false
		}
		l.acquired, l.free = now, time.Time{}
		return true
	})
}

// Purge implements [dialect.Locks].
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	purged := 0
	err := d.do(ctx, OpPurge, func(now time.Time) {
		for key, l := range d.locks {
			// A fence that is ahead of the clock would go backwards if its row were created again.
			if purged < limit && l.leaseID == "" && l.free.Add(idle).Before(now) && l.acquired.Add(idle).Before(now) &&
				l.fence < now.UnixMicro() {
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

// assign gives the lock to the request.
func (l *lock) assign(now time.Time, r dialect.Request) dialect.Grant {
	l.fence = max(l.fence+1, now.UnixMicro())
	l.leaseID, l.owner, l.note = r.LeaseID, r.Owner, r.Note
	l.acquired, l.free, l.delay = now, time.Time{}, r.LockDelay
	if r.HoldAtLeast > 0 {
		l.free = now.Add(r.HoldAtLeast)
	}
	return dialect.Grant{Granted: true, Fence: l.fence}
}

// release frees the lock at once or, if delay is positive, when that is over, but not before
// HoldAtLeast of its holder is over. Of two bars the later one stays, with its length.
func (l *lock) release(now time.Time, delay time.Duration) {
	l.leaseID, l.owner = "", ""
	if l.free.After(now.Add(max(delay, 0))) {
		return
	}
	l.acquired, l.free = now, time.Time{}
	if delay > 0 {
		l.free = now.Add(delay)
	}
}
