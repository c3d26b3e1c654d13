package sqlserver

import (
	"context"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// CreateLease writes a new lease that expires TTL from now. It fails if the id already exists.
func (d *Dialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	return fail("create lease", createLease(ctx, d.pool, lease))
}

func createLease(ctx context.Context, s engine.Session, lease dialect.Lease) error {
	if err := texts.CheckLease(lease); err != nil {
		return err
	}
	_, err := exec(ctx, s, sqlCreateLease, text(lease.ID), text(lease.Holder), engine.Micros(lease.TTL))
	return err
}

// RenewLeases moves each lease's end to its TTL from now, unless it has expired. It uses one
// statement for each. It waits only for an ExpireLeases of the same lease in progress.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := exec(ctx, s, sqlRenewLease, text(id))
	return n == 1, err
}

// ExpireLeases ends those of the leases that have run out, and reports which are dead. It uses two
// statements for each. It waits only for a heartbeat of the same lease in progress.
func (d *Dialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return each("expire lease", ids, func(id string) (dialect.Expiry, error) {
		return expireLease(ctx, d.pool, id, noRenewal)
	})
}

// ExpireUnrenewed does what ExpireLeases does, and also ends a lease whose last renewal is the
// given one.
func (d *Dialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	return each("expire lease", renewals, func(r dialect.Renewal) (dialect.Expiry, error) {
		return expireLease(ctx, d.pool, r.LeaseID, r.RenewedAt.UnixMicro())
	})
}

// noRenewal matches no renewal's time.
const noRenewal = int64(-1)

func expireLease(ctx context.Context, s engine.Session, id string, renewedAt int64) (dialect.Expiry, error) {
	return engine.Expire(func() error {
		_, err := exec(ctx, s, sqlExpireLease, text(id), renewedAt)
		return err
	}, func() ([]dialect.Expiry, error) {
		return query(ctx, s, func(rows dialect.Rows, b *dialect.Expiry) error {
			return engine.ScanExpiry(rows, b)
		}, sqlSeeLease, text(id))
	})
}

// OverlongLeases returns up to limit leases that have more time left than their TTL. It waits for
// nothing.
func (d *Dialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	found, err := query(ctx, d.pool, engine.ScanRenewal, sqlOverlong, int64(limit))
	return found, fail("read overlong leases", err)
}

// DeleteExpired deletes up to limit leases that ran out longer ago than ago, and skips those that
// others have locked.
func (d *Dialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlDeleteExpired, engine.Micros(ago), int64(limit))
	return n, fail("delete expired leases", err)
}

// DeleteLeases deletes the leases, expired or not. It uses one statement for each.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each("delete lease", ids, func(id string) (int, error) { return deleteLease(ctx, d.pool, id) })
	return err
}

func deleteLease(ctx context.Context, s engine.Session, id string) (int, error) {
	return exec(ctx, s, sqlDeleteLease, text(id))
}

// leases reads the leases with these ids, ten at a time.
func leases(ctx context.Context, s engine.Session, r reads, ids []string) ([]engine.Lease, error) {
	const most = 10
	var all []engine.Lease
	for some := range slices.Chunk(ids, most) {
		args := make([]any, most)
		for i := range args {
			args[i] = text(some[min(i, len(some)-1)])
		}
		found, err := query(ctx, s, engine.ScanLease, r.leases, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
