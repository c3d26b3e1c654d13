package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Look reads lock rows and then their leases: two statements for all keys, one where no lock is held. It waits for
// nothing. Behind a read/write splitter the picture may be a replica's, and so older.
func (d *Dialect) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := look(ctx, d.pool, keys)
	return rows, fail("look", err)
}

func look(ctx context.Context, s session, keys []dialect.Key) ([]dialect.Row, error) {
	rows, pairs := make([]dialect.Row, len(keys)), make([][2]any, len(keys))
	for i, key := range keys {
		if err := checkText("name", key.Name, 255); err != nil {
			return nil, err
		}
		rows[i].Key, pairs[i] = key, [2]any{key.Name, key.Slot}
	}
	wanted, err := json.Marshal(pairs)
	if err != nil {
		return nil, err
	}
	found, err := query(ctx, s, scanRow, sqlLook, string(wanted))
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		rows[one.place] = one.Row
	}
	return rows, addLeases(ctx, s, rows)
}

// List reads up to limit lock rows beyond the key after, in key order, and then their leases. It waits for nothing.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := list(ctx, d.pool, after, heldOnly, limit)
	return rows, fail("list", err)
}

func list(ctx context.Context, s session, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	found, err := query(ctx, s, scanRow, sqlList, after.Name, after.Name, after.Slot, !heldOnly, max(limit, 0))
	if err != nil {
		return nil, err
	}
	rows := make([]dialect.Row, len(found))
	for i, one := range found {
		rows[i] = one.Row
	}
	return rows, addLeases(ctx, s, rows)
}

// Purge deletes up to limit lock rows that have been free for longer than idle, and waits for none that others are at.
// One statement finds them, and then one each deletes them.
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
	keys, err := query(ctx, d.pool, func(rows *sql.Rows) (k dialect.Key, err error) {
		err = rows.Scan(&k.Name, &k.Slot)
		return k, err
	}, sqlIdleLocks, micros(idle), limit)
	for _, key := range keys {
		n, err := purgeLock(ctx, d.pool, f, key, idle)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, err
}

func purgeLock(ctx context.Context, s session, f flavour, key dialect.Key, idle time.Duration) (int, error) {
	return affected(sqlPurgeLock.run(ctx, s, f, []any{key.Name, key.Slot, micros(idle)}))
}

// placed is a row with its place among the keys asked for.
type placed struct {
	dialect.Row
	place int
}

func scanRow(rows *sql.Rows) (placed, error) {
	var (
		row                placed
		acquiredAt, freeIn int64
		owner, leaseID     sql.NullString
	)
	err := rows.Scan(&row.place, &row.Name, &row.Slot, &row.Fence, &acquiredAt, &freeIn, &row.Note, &owner, &leaseID)
	row.Exists = true
	row.AcquiredAt = time.UnixMicro(acquiredAt).UTC()
	row.FreeIn = duration(freeIn)
	if leaseID.Valid {
		row.Held, row.Owner, row.LeaseID = true, owner.String, leaseID.String
	}
	return row, err
}

// addLeases reads what became of the leases that the rows name.
func addLeases(ctx context.Context, s session, rows []dialect.Row) error {
	var ids []string
	known := make(map[string]bool)
	for _, row := range rows {
		if row.Held && !known[row.LeaseID] {
			ids, known[row.LeaseID] = append(ids, row.LeaseID), true
		}
	}
	if len(ids) == 0 {
		return nil
	}
	byID, err := states(ctx, s, ids)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		lease, found := byID[row.LeaseID]
		switch {
		case !row.Held || !found:
			continue
		case lease.left > 0:
			row.Lease = dialect.LeaseLive
		default:
			row.Lease = dialect.LeaseExpired
		}
		row.Holder, row.Remaining = lease.holder, duration(lease.left)
	}
	return nil
}
