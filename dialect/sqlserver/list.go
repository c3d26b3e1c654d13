package sqlserver

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Get reads lock rows, with one statement for each, and then their leases, ten at a time. It waits
// for nothing.
func (d *Dialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("get", err)
	}
	rows, err := getRow(ctx, d.pool, r, keys)
	return rows, fail("get", err)
}

func getRow(ctx context.Context, s engine.Session, r reads, keys []dialect.Key) ([]dialect.Row, error) {
	rows, err := engine.Each(keys, func(key dialect.Key) (dialect.Row, error) {
		if err := texts.Check("name", key.Name, 255); err != nil {
			return dialect.Row{}, err
		}
		found, err := query(ctx, s, engine.ScanPlaced, r.get, text(key.Name), key.Slot)
		if err != nil || len(found) == 0 {
			return dialect.Row{Key: key}, err
		}
		return found[0].Row, nil
	})
	if err != nil {
		return nil, err
	}
	return rows, addLeases(ctx, s, r, rows)
}

// List returns up to limit lock rows beyond the key after, in key order, and then reads their
// leases. It waits for nothing.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("list", err)
	}
	rows, err := list(ctx, d.pool, r, after, heldOnly, limit)
	return rows, fail("list", err)
}

func list(
	ctx context.Context, s engine.Session, r reads, after dialect.Key, heldOnly bool, limit int,
) ([]dialect.Row, error) {
	found, err := query(ctx, s, engine.ScanPlaced, r.list, text(after.Name), after.Slot, heldOnly, max(limit, 0))
	if err != nil {
		return nil, err
	}
	rows := make([]dialect.Row, len(found))
	for i, one := range found {
		rows[i] = one.Row
	}
	return rows, addLeases(ctx, s, r, rows)
}

// Purge deletes up to limit lock rows that have been free for longer than idle, and skips those
// that others have locked.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurge, engine.Micros(idle), int64(limit))
	return n, fail("purge", err)
}

// addLeases adds to the rows what it finds of the leases that they name.
func addLeases(ctx context.Context, s engine.Session, r reads, rows []dialect.Row) error {
	return engine.AddLeases(rows, func(ids []string) ([]engine.Lease, error) { return leases(ctx, s, r, ids) })
}
