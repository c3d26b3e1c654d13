package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Get reads lock rows with their leases. It runs one statement for all keys and waits for nothing.
func (d *Dialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	f, err := d.reading(ctx)
	if err != nil {
		return nil, fail("get", err)
	}
	rows, err := getRow(ctx, d.pool, f.get, keys)
	return rows, fail("get", err)
}

// reading returns the flavour for reads. The plain one's reads need only the right to SELECT.
func (d *Dialect) reading(ctx context.Context) (*flavour, error) {
	if d.readsAnywhere {
		return &plain, nil
	}
	return d.flavour(ctx, d.pool)
}

func getRow(ctx context.Context, s engine.Session, text string, keys []dialect.Key) ([]dialect.Row, error) {
	names, slots := make([]string, len(keys)), make([]string, len(keys))
	rows := make([]dialect.Row, len(keys))
	for i, key := range keys {
		names[i], slots[i] = key.Name, strconv.Itoa(key.Slot)
		rows[i].Key = key
	}
	found, err := query(ctx, s, engine.ScanPlacedWithLease, text, array(names), array(slots))
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		rows[one.Index-1] = one.Row
	}
	return rows, nil
}

// List reads up to limit lock rows beyond the key after, in key order, with their leases. It waits
// for nothing.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	f, err := d.reading(ctx)
	if err != nil {
		return nil, fail("list", err)
	}
	rows, err := list(ctx, d.pool, f.list, after, heldOnly, limit)
	return rows, fail("list", err)
}

func list(
	ctx context.Context, s engine.Session, text string, after dialect.Key, heldOnly bool, limit int,
) ([]dialect.Row, error) {
	found, err := query(ctx, s, engine.ScanPlacedWithLease, text,
		after.Name, int64(after.Slot), heldOnly, int64(limit))
	if err != nil {
		return nil, err
	}
	rows := make([]dialect.Row, len(found))
	for i, one := range found {
		rows[i] = one.Row
	}
	return rows, nil
}

// Purge deletes up to limit lock rows that have been free for longer than idle, and returns how
// many. It skips rows that other transactions have locked.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurge, engine.Micros(idle), int64(limit))
	return n, fail("purge", err)
}
