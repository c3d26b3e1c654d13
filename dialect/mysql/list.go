package mysql

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Get reads lock rows and then their leases: two statements for all keys, or one if no lock is
// held. It waits for nothing. A read/write splitter sends the first statement to the primary. The
// leases may be a replica's, and so older.
func (d *Dialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("get", err)
	}
	rows, err := getRow(ctx, d.pool, f, keys)
	return rows, fail("get", err)
}

func getRow(ctx context.Context, s engine.Session, f flavour, keys []dialect.Key) ([]dialect.Row, error) {
	rows := make([]dialect.Row, len(keys))
	for i, key := range keys {
		if err := texts.Check("name", key.Name, 255); err != nil {
			return nil, err
		}
		rows[i].Key = key
	}
	read := readKeys
	if f.product == tidb {
		read = readKeysIn
	}
	if err := read(ctx, s, keys, rows); err != nil {
		return nil, err
	}
	return rows, addLeases(ctx, s, f, rows)
}

// readKeys reads the rows of the keys into rows.
func readKeys(ctx context.Context, s engine.Session, keys []dialect.Key, rows []dialect.Row) error {
	pairs := make([][2]any, len(keys))
	for i, key := range keys {
		pairs[i] = [2]any{key.Name, key.Slot}
	}
	wanted, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	found, err := engine.Query(ctx, s, engine.ScanPlaced, sqlGet, string(wanted))
	for _, one := range found {
		rows[one.Index] = one.Row
	}
	return err
}

// List returns up to limit lock rows beyond the key after, in key order, and then reads their
// leases. It waits for nothing.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("list", err)
	}
	rows, err := list(ctx, d.pool, f, after, heldOnly, limit)
	return rows, fail("list", err)
}

func list(
	ctx context.Context, s engine.Session, f flavour, after dialect.Key, heldOnly bool, limit int,
) ([]dialect.Row, error) {
	found, err := engine.Query(ctx, s, engine.ScanPlaced, sqlList, after.Name, after.Name, after.Slot, !heldOnly,
		max(limit, 0))
	if err != nil {
		return nil, err
	}
	rows := make([]dialect.Row, len(found))
	for i, one := range found {
		rows[i] = one.Row
	}
	return rows, addLeases(ctx, s, f, rows)
}

// Purge deletes up to limit lock rows that have been free for longer than idle, and skips those
// that others have locked. One statement finds them, and one more deletes each.
func (d *Dialect) Purge(ctx context.Context, idle time.Duration, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	n, err := d.purge(ctx, idle, limit)
	return n, fail("purge", err)
}

func (d *Dialect) purge(ctx context.Context, idle time.Duration, limit int) (total int, err error) {
	f, err := d.flavour(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := engine.Query(ctx, d.pool, func(rows dialect.Rows, k *dialect.Key) error {
		return rows.Scan(&k.Name, &k.Slot)
	}, sqlIdleLocks, engine.Micros(idle), limit)
	for _, key := range keys {
		n, err := purgeLock(ctx, d.pool, f, key, idle)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, err
}

func purgeLock(ctx context.Context, s engine.Session, f flavour, key dialect.Key, idle time.Duration) (int, error) {
	return engine.Affected(sqlPurgeLock.run(ctx, s, f, []any{key.Name, key.Slot, engine.Micros(idle)}))
}

// addLeases adds to the rows what it finds of the leases that they name.
func addLeases(ctx context.Context, s engine.Session, f flavour, rows []dialect.Row) error {
	return engine.AddLeases(rows, func(ids []string) ([]engine.Lease, error) {
		if f.product == tidb {
			return leasesIn(ctx, s, ids)
		}
		return leases(ctx, s, ids)
	})
}
