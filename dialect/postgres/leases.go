package postgres

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// CreateLease writes a new lease that runs out TTL from now, by the server's clock.
func (d *Dialect) CreateLease(ctx context.Context, lease dialect.Lease) error {
	return fail("create lease", createLease(ctx, d.pool, lease))
}

func createLease(ctx context.Context, s engine.Session, lease dialect.Lease) error {
	_, err := exec(ctx, s, sqlCreateLease, lease.ID, lease.Holder, engine.Micros(lease.TTL))
	return err
}

// RenewLeases moves the end of each lease that hasn't run out to its TTL from now: one statement each.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := exec(ctx, s, sqlRenewLease, id)
	return n == 1, err
}

// BuryLeases deletes those of the leases that have run out, and tells which are dead: one statement for all. It
// waits for a heartbeat of the same lease that is under way.
func (d *Dialect) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	burials, err := buryLeases(ctx, d.pool, ids)
	return burials, fail("bury leases", err)
}

func buryLeases(ctx context.Context, s engine.Session, ids []string) ([]dialect.Burial, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	type lease struct {
		id   string
		dead bool
		left int64
	}
	seen, err := query(ctx, s, func(rows *sql.Rows, l *lease) error {
		return rows.Scan(&l.id, &l.dead, &l.left)
	}, sqlBuryLeases, array(ids))
	if err != nil {
		return nil, err
	}

	byID := make(map[string]dialect.Burial, len(seen))
	for _, l := range seen {
		if l.dead {
			byID[l.id] = dialect.Burial{Dead: true, Overdue: engine.Duration(-l.left)}
		} else {
			byID[l.id] = dialect.Burial{Remaining: engine.Duration(l.left)}
		}
	}
	burials := make([]dialect.Burial, len(ids))
	for i, id := range ids {
		burial, found := byID[id]
		if !found {
			burial.Dead = true
		}
		burials[i] = burial
	}
	return burials, nil
}

// BuryExpired deletes up to limit leases that have run out, and waits for none that others are at.
func (d *Dialect) BuryExpired(ctx context.Context, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlBuryExpired, int64(limit))
	return n, fail("bury expired leases", err)
}

// DeleteLeases deletes the leases, run out or not: one statement for all.
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
