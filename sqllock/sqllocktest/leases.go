package sqllocktest

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// CreateLease writes a new lease. An id that is there already is a Permanent *Error.
func (d *Dialect) CreateLease(ctx context.Context, l dialect.Lease) error {
	var refused error
	err := d.do(ctx, OpCreateLease, func(now time.Time) {
		if _, ok := d.leases[l.ID]; ok {
			refused = &Error{Op: OpCreateLease, Class: dialect.Permanent, Reason: "a lease of that id is there already"}
			return
		}
		d.leases[l.ID] = &lease{holder: l.Holder, ttl: l.TTL, expires: now.Add(l.TTL)}
	})
	if err != nil {
		return err
	}
	return refused
}

// RenewLeases implements dialect.Leases.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each(ctx, d, OpRenewLeases, ids, func(now time.Time, id string) bool {
		l, ok := d.leases[id]
		if !ok || !l.expires.After(now) {
			return false
		}
		l.expires = now.Add(l.ttl)
		return true
	})
}

// BuryLeases implements dialect.Leases.
func (d *Dialect) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	return each(ctx, d, OpBuryLeases, ids, func(now time.Time, id string) dialect.Burial {
		l, ok := d.leases[id]
		if !ok {
			return dialect.Burial{Dead: true}
		}
		if l.expires.After(now) {
			return dialect.Burial{Remaining: l.expires.Sub(now)}
		}
		delete(d.leases, id)
		return dialect.Burial{Dead: true, Overdue: now.Sub(l.expires)}
	})
}

// BuryExpired implements dialect.Leases.
func (d *Dialect) BuryExpired(ctx context.Context, limit int) (int, error) {
	buried := 0
	err := d.do(ctx, OpBuryExpired, func(now time.Time) {
		for id, l := range d.leases {
			if buried < limit && !l.expires.After(now) {
				delete(d.leases, id)
				buried++
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return buried, nil
}

// DeleteLeases implements dialect.Leases.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each(ctx, d, OpDeleteLeases, ids, func(_ time.Time, id string) struct{} {
		delete(d.leases, id)
		return struct{}{}
	})
	return err
}

// ExpireLeases makes every lease run out at this moment, as if its holder had been paused for that long: the next
// heartbeat is refused, and others may take its locks over.
func (d *Dialect) ExpireLeases() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.leases {
		l.expires = d.now()
	}
}

// LoseLease deletes a lease, as a reaper does after it has run out. It reports whether it was there.
func (d *Dialect) LoseLease(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.leases[id]
	delete(d.leases, id)
	return ok
}
