package sqllocktest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// CreateLease creates a lease. If there is a lease with that id, it returns an [*Error] of class
// Permanent.
func (d *Dialect) CreateLease(ctx context.Context, l dialect.Lease) error {
	var refused error
	err := d.do(ctx, OpCreateLease, func(now time.Time) {
		if _, ok := d.leases[l.ID]; ok {
			refused = &Error{
				Op: OpCreateLease, Class: dialect.ClassPermanent,
				Reason: "a lease with that id exists already",
			}
			return
		}
		d.leases[l.ID] = &lease{holder: l.Holder, ttl: l.TTL, renewed: now, expires: now.Add(l.TTL)}
	})
	if err != nil {
		return err
	}
	return refused
}

// RenewLeases implements [dialect.Leases].
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each(ctx, d, OpRenewLeases, ids, func(now time.Time, id string) bool {
		l, ok := d.leases[id]
		if !ok || !l.expires.After(now) {
			return false
		}
		l.renewed, l.expires = now, now.Add(l.ttl)
		return true
	})
}

// ExpireLeases implements [dialect.Leases].
func (d *Dialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return each(ctx, d, OpExpireLeases, ids, func(now time.Time, id string) dialect.Expiry {
		return d.expire(now, dialect.Renewal{LeaseID: id})
	})
}

// ExpireUnrenewed implements [dialect.Leases].
func (d *Dialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	return each(ctx, d, OpExpireUnrenewed, renewals, d.expire)
}

func (d *Dialect) expire(now time.Time, r dialect.Renewal) dialect.Expiry {
	l, ok := d.leases[r.LeaseID]
	switch {
	case !ok:
		ended, ok := d.ended[r.LeaseID]
		if !ok {
			return dialect.Expiry{Dead: true}
		}
		return dialect.Expiry{Dead: true, ExpiredFor: max(now.Sub(ended), 0)}
	case l.expires.After(now) && renewedAt(l) != r.RenewedAt:
		return dialect.Expiry{Remaining: l.expires.Sub(now)}
	}
	end := l.expires
	if end.After(now) {
		end = now
	}
	d.ended[r.LeaseID] = end
	delete(d.leases, r.LeaseID)
	return dialect.Expiry{Dead: true, ExpiredFor: now.Sub(end)}
}

// renewedAt returns when the lease was renewed, as clients see it.
func renewedAt(l *lease) time.Time { return time.UnixMicro(l.renewed.UnixMicro()).UTC() }

// OverlongLeases implements [dialect.Leases].
func (d *Dialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	var found []dialect.Renewal
	err := d.do(ctx, OpOverlongLeases, func(now time.Time) {
		for id, l := range d.leases {
			if len(found) < limit && l.expires.Sub(now) > l.ttl {
				found = append(found, dialect.Renewal{LeaseID: id, RenewedAt: renewedAt(l), TTL: l.ttl})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// DeleteExpired implements [dialect.Leases].
func (d *Dialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	deleted := 0
	err := d.do(ctx, OpDeleteExpired, func(now time.Time) {
		for id, l := range d.leases {
			if deleted < limit && !l.expires.After(now.Add(-ago)) {
				delete(d.leases, id)
				deleted++
			}
		}
		for id, end := range d.ended {
			if deleted < limit && !end.After(now.Add(-ago)) {
				delete(d.ended, id)
				deleted++
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// DeleteLeases implements [dialect.Leases].
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each(ctx, d, OpDeleteLeases, ids, func(_ time.Time, id string) struct{} {
		delete(d.leases, id)
		return struct{}{}
	})
	return err
}

// ExpireAllLeases makes every lease expire at this moment, as if its holder had been paused for
// longer than its TTL. The next heartbeat is refused, and others may take over its locks.
func (d *Dialect) ExpireAllLeases() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.leases {
		l.expires = d.now()
	}
}

// LoseLease deletes a lease, as a reaper does after it has expired. It reports whether the lease
// existed.
func (d *Dialect) LoseLease(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.leases[id]
	delete(d.leases, id)
	return ok
}
