package sqlite

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// CreateLease writes a new lease that runs out TTL from now.
func (d *Dialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	_, err := inTurn(ctx, d.line, func() (any, error) { return nil, d.createLease(ctx, d.pool, lease) })
	return fail("create lease", err)
}

func (d *Dialect) createLease(ctx context.Context, s engine.Session, lease dialect.Lease) error {
	_, err := engine.Exec(ctx, s, d.sql.createLease, lease.ID, lease.Holder, engine.Micros(lease.TTL))
	return err
}

// RenewLeases moves the end of each lease that hasn't run out to its TTL from now.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return d.renewLease(ctx, d.pool, id) })
}

func (d *Dialect) renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := engine.Exec(ctx, s, d.sql.renewLease, id)
	return n == 1, err
}

// BuryLeases deletes those of the leases that have run out, and tells which are dead.
func (d *Dialect) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	return eachInTurn(ctx, d.line, "bury lease", ids, func(id string) (dialect.Burial, error) { return d.buryLease(ctx, d.pool, id) })
}

// buryLease deletes first and looks for a living lease later: whoever finds none then has found it dead.
func (d *Dialect) buryLease(ctx context.Context, s engine.Session, id string) (dialect.Burial, error) {
	overdue, err := engine.Query(ctx, s, engine.One[int64], d.sql.buryLease, id)
	if err != nil {
		return dialect.Burial{}, err
	}
	if len(overdue) > 0 {
		return dialect.Burial{Dead: true, Overdue: engine.Duration(overdue[0])}, nil
	}
	left, err := engine.Query(ctx, s, engine.One[int64], d.sql.leaseLeft, id)
	if err != nil {
		return dialect.Burial{}, err
	}
	if len(left) > 0 {
		return dialect.Burial{Remaining: engine.Duration(max(left[0], 0))}, nil
	}
	return dialect.Burial{Dead: true}, nil
}

// BuryExpired deletes up to limit leases that have run out.
func (d *Dialect) BuryExpired(ctx context.Context, limit int) (int, error) {
	n, err := inTurn(ctx, d.line, func() (int, error) { return engine.Exec(ctx, d.pool, d.sql.buryExpired, max(limit, 0)) })
	return n, fail("bury expired leases", err)
}

// DeleteLeases deletes the leases, run out or not.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := eachInTurn(ctx, d.line, "delete lease", ids, func(id string) (int, error) { return engine.Exec(ctx, d.pool, d.sql.deleteLease, id) })
	return err
}
