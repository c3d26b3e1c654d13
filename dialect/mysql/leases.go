package mysql

import (
	"context"
	"database/sql"
	"encoding/json"

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
	ttl := engine.Micros(lease.TTL)
	_, err := engine.Exec(ctx, s, sqlCreateLease, lease.ID, lease.Holder, ttl, ttl)
	return err
}

// RenewLeases moves each lease's end to its TTL from now, if it hasn't run out: one statement each. It waits only for
// a burial of the same lease that is under way.
func (d *Dialect) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return each("renew lease", ids, func(id string) (bool, error) { return renewLease(ctx, d.pool, id) })
}

func renewLease(ctx context.Context, s engine.Session, id string) (bool, error) {
	n, err := engine.Exec(ctx, s, sqlRenewLease, id)
	return n == 1, err
}

// BuryLeases deletes those of the leases that have run out, and tells which are dead: up to three statements each,
// all of which a read/write splitter sends to the primary. It waits only for a heartbeat of the same lease that is
// under way.
func (d *Dialect) BuryLeases(ctx context.Context, ids []string) ([]dialect.Burial, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("bury lease", err)
	}
	return each("bury lease", ids, func(id string) (dialect.Burial, error) { return buryLease(ctx, d.pool, f, id) })
}

func buryLease(ctx context.Context, s engine.Session, f flavour, id string) (dialect.Burial, error) {
	seen, err := seeLease(ctx, s, f, id)
	if err != nil || seen.gone || seen.left > 0 {
		return seen.burial(), err
	}
	n, err := engine.Exec(ctx, s, sqlBuryLease, id, seen.end)
	if err != nil {
		return dialect.Burial{}, err
	}
	if n == 1 {
		return dialect.Burial{Dead: true, Overdue: engine.Duration(-seen.left)}, nil
	}
	// Somebody has buried it meanwhile, or a heartbeat that was sent in time has arrived.
	seen, err = seeLease(ctx, s, f, id)
	return seen.burial(), err
}

// sighting is what see_lease.sql found, in microseconds.
type sighting struct {
	gone      bool
	end, left int64
}

func (s sighting) burial() dialect.Burial {
	if s.gone {
		return dialect.Burial{Dead: true}
	}
	return dialect.Burial{Remaining: engine.Duration(max(s.left, 0))}
}

func seeLease(ctx context.Context, s engine.Session, f flavour, id string) (sighting, error) {
	text := sqlSeeLease
	if f.maria && f.galera { // a node must first catch up with the others, or a lease may be missing because it is new
		text = sqlSeeLeaseGalera
	}
	found, err := engine.Query(ctx, s, func(rows *sql.Rows, seen *sighting) error {
		return rows.Scan(&seen.end, &seen.left)
	}, text, id)
	if err != nil || len(found) == 0 {
		return sighting{gone: err == nil}, err
	}
	return found[0], nil
}

// BuryExpired deletes up to limit leases that have run out, and waits for none that others are at. One statement
// finds them, and then one each deletes them.
func (d *Dialect) BuryExpired(ctx context.Context, limit int) (int, error) {
	return d.sweep(ctx, "bury expired leases", sqlExpiredLeases, limit, buryExpiredLease)
}

func buryExpiredLease(ctx context.Context, s engine.Session, f flavour, id string) (int, error) {
	return engine.Affected(sqlBuryExpiredLease.run(ctx, s, f, []any{id}))
}

// DeleteLeases deletes the leases, run out or not: one statement each.
func (d *Dialect) DeleteLeases(ctx context.Context, ids []string) error {
	_, err := each("delete lease", ids, func(id string) (int, error) { return engine.Exec(ctx, d.pool, sqlDeleteLease, id) })
	return err
}

// leases reads the leases of these ids.
func leases(ctx context.Context, s engine.Session, ids []string) ([]engine.Lease, error) {
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return engine.Query(ctx, s, engine.ScanLease, sqlLeases, string(wanted))
}
