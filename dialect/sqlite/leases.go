package sqlite

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// CreateLease writes a new lease that expires TTL from now.
func (d *Dialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := write(ctx, d, func(s engine.Session) (any, error) { return nil, d.createLease(ctx, s, lease) })
	return fail("create lease", err)
}

func (d *Dialect) createLease(ctx context.Context, s engine.Session, lease dialect.Lease) error {
	_, err := engine.Exec(ctx, s, d.sql.createLease, lease.ID, lease.Holder, engine.Micros(lease.TTL))
	return err
}

// RenewLeases moves the end of each lease that hasn't expired to its TTL from now.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) {
		return compete(ctx, d, startHeartbeatWait(d.file()), func(s engine.Session) (bool, error) {
			return d.renewLease(ctx, s, id)
		})
	})
}

func (d *Dialect) renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := engine.Exec(ctx, s, d.sql.renewLease, id)
	return n == 1, err
}

// ExpireLeases ends those of the leases that have run out, and reports which are dead.
func (d *Dialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return eachWrite(ctx, d, "expire lease", ids, func(s engine.Session, id string) (dialect.Expiry, error) {
		return d.expireLease(ctx, s, id, noRenewal)
	})
}

// ExpireUnrenewed does what ExpireLeases does, and also ends a lease whose last renewal is the
// given one.
func (d *Dialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	return eachWrite(ctx, d, "expire lease", renewals,
		func(s engine.Session, r dialect.Renewal) (dialect.Expiry, error) {
			return d.expireLease(ctx, s, r.LeaseID, r.RenewedAt.UnixMicro())
		})
}

// noRenewal matches no renewal's time.
const noRenewal = -1

func (d *Dialect) expireLease(
	ctx context.Context, s engine.Session, id string, renewedAt int64,
) (dialect.Expiry, error) {
	return engine.Expire(func() error {
		_, err := engine.Exec(ctx, s, d.sql.expireLease, id, renewedAt)
		return err
	}, func() ([]dialect.Expiry, error) {
		return engine.Query(ctx, s, func(rows dialect.Rows, b *dialect.Expiry) error {
			return engine.ScanExpiry(rows, b)
		}, d.sql.seeLease, id)
	})
}

// OverlongLeases returns up to limit leases that have more time left than their TTL.
func (d *Dialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	found, err := whenFree(ctx, d.file(), func() ([]dialect.Renewal, error) {
		return engine.Query(ctx, d.pool, engine.ScanRenewal, d.sql.overlong, max(limit, 0))
	})
	return found, fail("read overlong leases", err)
}

// DeleteExpired deletes up to limit leases that ran out longer ago than ago.
func (d *Dialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := write(ctx, d, func(s engine.Session) (int, error) {
		return engine.Exec(ctx, s, d.sql.deleteExpired, engine.Micros(ago), max(limit, 0))
	})
	return n, fail("delete expired leases", err)
}

// DeleteLeases deletes the leases, expired or not.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := eachWrite(ctx, d, "delete lease", ids, func(s engine.Session, id string) (int, error) {
		return engine.Exec(ctx, s, d.sql.deleteLease, id)
	})
	return err
}
