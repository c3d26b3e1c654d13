package mysql

import (
	"context"
	"encoding/json"
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
	ttl := engine.Micros(lease.TTL)
	_, err := engine.Exec(ctx, s, sqlCreateLease, lease.ID, lease.Holder, ttl, ttl)
	return err
}

// RenewLeases moves each lease's end to its TTL from now, unless it has expired. It uses one
// statement for each. It waits only for an ExpireLeases of the same lease in progress.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlRenewLease, id)
	return n == 1, err
}

// ExpireLeases ends those of the leases that have run out, and reports which are dead. It uses two
// statements for each, and a read/write splitter sends both to the primary. It waits only for a
// heartbeat of the same lease in progress.
func (d *Dialect) ExpireLeases(ctx context.Context, ids []string) ([]dialect.Expiry, error) {
	return d.expire(ctx, "expire lease", ids, func(int) int64 { return noRenewal })
}

// ExpireUnrenewed does what ExpireLeases does, and also ends a lease whose last renewal is the
// given one.
func (d *Dialect) ExpireUnrenewed(ctx context.Context, renewals []dialect.Renewal) ([]dialect.Expiry, error) {
	ids := make([]string, len(renewals))
	for i, r := range renewals {
		ids[i] = r.LeaseID
	}
	return d.expire(ctx, "expire lease", ids, func(i int) int64 { return renewals[i].RenewedAt.UnixMicro() })
}

// noRenewal matches no renewal's time.
const noRenewal = -1

func (d *Dialect) expire(
	ctx context.Context, what string, ids []string, renewedAt func(i int) int64,
) ([]dialect.Expiry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail(what, err)
	}
	i := -1
	return each(what, ids, func(id string) (dialect.Expiry, error) {
		i++
		return expireLease(ctx, d.pool, f, id, renewedAt(i))
	})
}

func expireLease(ctx context.Context, s engine.Session, f flavour, id string, renewedAt int64) (dialect.Expiry, error) {
	return engine.Expire(func() error {
		_, err := engine.Exec(ctx, s, sqlExpireLease, id, renewedAt)
		return err
	}, func() ([]dialect.Expiry, error) {
		return engine.Query(ctx, s, func(rows dialect.Rows, b *dialect.Expiry) error {
			return engine.ScanExpiry(rows, b)
		}, f.caughtUp(sqlSeeLease), id, id, id)
	})
}

// OverlongLeases returns up to limit leases that have more time left than their TTL. It waits for
// nothing.
func (d *Dialect) OverlongLeases(ctx context.Context, limit int) ([]dialect.Renewal, error) {
	found, err := engine.Query(ctx, d.pool, engine.ScanRenewal, sqlOverlong, max(limit, 0))
	return found, fail("read overlong leases", err)
}

// DeleteExpired deletes up to limit leases that ran out longer ago than ago, and skips those that
// others have locked. One statement finds them, and one more deletes each.
func (d *Dialect) DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error) {
	us := engine.Micros(ago)
	return d.deleteChunk(ctx, "delete expired leases", sqlExpiredLeases, []any{us}, limit,
		func(ctx context.Context, s engine.Session, f flavour, id string) (int, error) {
			return deleteExpiredLease(ctx, s, f, id, us)
		})
}

func deleteExpiredLease(ctx context.Context, s engine.Session, f flavour, id string, ago int64) (int, error) {
	return engine.Affected(sqlDeleteExpiredLease.run(ctx, s, f, []any{id, ago}))
}

// DeleteLeases deletes the leases, expired or not. It uses one statement for each.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each("delete lease", ids, func(id string) (int, error) {
		return engine.Exec(ctx, d.pool, sqlDeleteLease, id)
	})
	return err
}

// leases reads the leases with these ids.
func leases(ctx context.Context, s engine.Session, ids []string) ([]engine.Lease, error) {
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return engine.Query(ctx, s, engine.ScanLease, sqlLeases, string(wanted))
}

// leasesIn is leases for TiDB.
func leasesIn(ctx context.Context, s engine.Session, ids []string) ([]engine.Lease, error) {
	return readIn(ctx, s, engine.ScanLease, sqlLeasesIn, ids, func(id string) []any { return []any{id} })
}
