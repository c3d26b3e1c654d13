package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// CreateLease writes a new lease that expires TTL from now, by the server's clock.
func (d *Dialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	return fail("create lease", createLease(ctx, d.pool, lease))
}

func createLease(ctx context.Context, s engine.Session, lease dialect.Lease) error {
	_, err := exec(ctx, s, sqlCreateLease, lease.ID, lease.Holder, engine.Micros(lease.TTL))
	return err
}

// RenewLeases extends each lease that hasn't expired to its TTL from now. It runs one statement for
// each.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := exec(ctx, s, sqlRenewLease, id)
	return n == 1, err
}

// ExpireLeases ends the leases that have expired, and returns which of ids are dead. It runs two
// statements for all of them. It waits for a heartbeat of the same lease that is in flight.
func (d *Dialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	expiries, err := d.expireLeases(ctx, ids, nil)
	return expiries, fail("expire leases", err)
}

// ExpireUnrenewed is [Dialect.ExpireLeases], but also ends a lease whose last renewal is the given
// one.
func (d *Dialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	ids, at := make([]string, len(renewals)), make([]string, len(renewals))
	for i, r := range renewals {
		ids[i], at[i] = r.LeaseID, strconv.FormatInt(r.RenewedAt.UnixMicro(), 10)
	}
	expiries, err := d.expireLeases(ctx, ids, at)
	return expiries, fail("expire leases", err)
}

func (d *Dialect) expireLeases(ctx context.Context, ids, renewedAt []string) ([]dialect.Expiry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return nil, err
	}
	return f.expireLeases(ctx, d.pool, ids, renewedAt)
}

// expireLeases ends the leases first and reads them afterwards, so that a lease that isn't found
// then is known to be dead.
func (f *flavour) expireLeases(
	ctx context.Context, s engine.Session, ids, renewedAt []string,
) ([]dialect.Expiry, error) {
	if _, err := exec(ctx, s, sqlExpireLeases, array(ids), array(renewedAt)); err != nil {
		return nil, err
	}
	type lease struct {
		dialect.Expiry
		index int
	}
	seen, err := query(ctx, s, func(rows dialect.Rows, l *lease) error {
		return engine.ScanExpiry(rows, &l.Expiry, &l.index)
	}, f.seeLeases, array(ids))
	if err != nil {
		return nil, err
	}
	expiries := make([]dialect.Expiry, len(ids))
	for i := range expiries {
		expiries[i].Dead = true
	}
	for _, l := range seen {
		if e := &expiries[l.index-1]; e.Dead { // a lease whose id was reused, which nobody does, is alive
			*e = l.Expiry
		}
	}
	return expiries, nil
}

// OverlongLeases returns up to limit leases that have more time left than their TTL. It waits for
// nothing.
func (d *Dialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	found, err := query(ctx, d.pool, engine.ScanRenewal, sqlOverlong, int64(limit))
	return found, fail("read overlong leases", err)
}

// DeleteExpired deletes up to limit leases that expired longer ago than ago, and returns how many.
// It skips rows that other transactions have locked.
func (d *Dialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlDeleteExpired, engine.Micros(ago), int64(limit))
	return n, fail("delete expired leases", err)
}

// DeleteLeases deletes the leases, expired or not. It runs one statement for all.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return fail("delete leases", deleteLeases(ctx, d.pool, ids))
}

func deleteLeases(ctx context.Context, s engine.Session, ids []string) error {
	_, err := exec(ctx, s, sqlDeleteLeases, array(ids))
	return err
}
