package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// Look reads lock rows with their leases. One joined statement is enough here: it sees both tables at one moment, and
// a lease is committed before any lock names it.
func (d *Dialect) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return each("look", keys, func(k dialect.Key) (dialect.Row, error) { return d.look(ctx, d.pool, k) })
}

func (d *Dialect) look(ctx context.Context, s engine.Session, key dialect.Key) (dialect.Row, error) {
	rows, err := engine.Query(ctx, s, scanRow, d.sql.look, key.Name, key.Slot)
	if err != nil || len(rows) == 0 {
		return dialect.Row{Key: key}, err
	}
	return rows[0], nil
}

// List reads up to limit lock rows beyond the key after, in the byte order of the names.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := d.list(ctx, d.pool, after, heldOnly, limit)
	return rows, fail("list", err)
}

func (d *Dialect) list(ctx context.Context, s engine.Session, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	return engine.Query(ctx, s, scanRow, d.sql.list, after.Name, after.Slot, heldOnly, max(limit, 0))
}

// scanRow reads the columns that look.sql and list.sql have in common.
func scanRow(rows *sql.Rows, row *dialect.Row) error {
	var acquired, freeIn int64
	var leaseID, owner, holder sql.NullString
	var remaining sql.NullInt64
	err := rows.Scan(&row.Name, &row.Slot, &row.Fence, &row.Note, &acquired, &freeIn, &leaseID, &owner, &holder, &remaining)
	row.Exists = true
	row.AcquiredAt, row.FreeIn = time.UnixMicro(acquired).UTC(), engine.Duration(freeIn)
	row.Held, row.LeaseID, row.Owner = leaseID.Valid, leaseID.String, owner.String
	if remaining.Valid {
		row.Holder, row.Remaining = holder.String, engine.Duration(remaining.Int64)
		row.Lease = dialect.LeaseLive
		if row.Remaining <= 0 {
			row.Lease = dialect.LeaseExpired
		}
	}
	return err
}
