package sqlserver

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// CreateLease writes a new lease that runs out TTL from now. An id that is there already is an error.
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

// RenewLeases moves each lease's end to its TTL from now, if it hasn't run out: one statement each. It waits only for
// a burial of the same lease that is under way.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := exec(ctx, s, sqlRenewLease, text(id))
	return n == 1, err
}

// BuryLeases deletes those of the leases that have run out, and tells which are dead: up to two statements each. It
// waits only for a heartbeat of the same lease that is under way.
func (d *Dialect) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	return each("bury lease", ids, func(id string) (dialect.Burial, error) { return buryLease(ctx, d.pool, id) })
}

func buryLease(ctx context.Context, s engine.Session, id string) (dialect.Burial, error) {
	overdue, err := query(ctx, s, engine.One[int64], sqlBuryLease, text(id))
	if err != nil {
		return dialect.Burial{}, err
	}
	if len(overdue) == 1 {
		return dialect.Burial{Dead: true, Overdue: engine.Duration(overdue[0])}, nil
	}
	left, err := query(ctx, s, engine.One[int64], sqlSeeLease, text(id))
	if err != nil || len(left) == 0 {
		return dialect.Burial{Dead: err == nil}, err
	}
	return dialect.Burial{Remaining: engine.Duration(max(left[0], 0))}, nil
}

// BuryExpired deletes up to limit leases that have run out, and waits for none that others are at.
func (d *Dialect) BuryExpired(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlBuryExpired, int64(limit))
	return n, fail("bury expired leases", err)
}

// DeleteLeases deletes the leases, run out or not: one statement each.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each("delete lease", ids, func(id string) (int, error) { return deleteLease(ctx, d.pool, id) })
	return err
}

func deleteLease(ctx context.Context, s engine.Session, id string) (int, error) {
	return exec(ctx, s, sqlDeleteLease, text(id))
}

// leases reads the leases of these ids, ten at a time.
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
