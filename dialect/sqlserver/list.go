package sqlserver

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Look reads lock rows, one statement each, and then their leases, ten at a time. It waits for nothing.
func (d *Dialect) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("look", err)
	}
	rows, err := look(ctx, d.pool, r, keys)
	return rows, fail("look", err)
}

func look(ctx context.Context, s engine.Session, r reads, keys []dialect.Key) ([]dialect.Row, error) {
	rows, err := engine.Each(keys, func(key dialect.Key) (dialect.Row, error) {
		if err := texts.Check("name", key.Name, 255); err != nil {
			return dialect.Row{}, err
		}
		found, err := query(ctx, s, engine.ScanPlaced, r.look, text(key.Name), key.Slot)
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

// List reads up to limit lock rows beyond the key after, in key order, and then their leases. It waits for nothing.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("list", err)
	}
	rows, err := list(ctx, d.pool, r, after, heldOnly, limit)
	return rows, fail("list", err)
}

func list(ctx context.Context, s engine.Session, r reads, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
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

// Purge deletes up to limit lock rows that have been free for longer than idle, and waits for none that others are at.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurge, engine.Micros(idle), int64(limit))
	return n, fail("purge", err)
}

// addLeases reads what became of the leases that the rows name.
func addLeases(ctx context.Context, s engine.Session, r reads, rows []dialect.Row) error {
	return engine.AddLeases(rows, func(ids []string) ([]engine.Lease, error) { return leases(ctx, s, r, ids) })
}
