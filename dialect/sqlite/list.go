package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Get reads lock rows with their leases. One joined statement is enough here: it sees both tables
// at one moment, and a lease is committed before any lock names it.
func (d *Dialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return eachRead(ctx, d, "get", keys, func(k dialect.Key) (dialect.Row, error) { return d.getRow(ctx, d.pool, k) })
}

func (d *Dialect) getRow(ctx context.Context, s engine.Session, key dialect.Key) (dialect.Row, error) {
	rows, err := engine.Query(ctx, s, scanRow, d.sql.get, key.Name, key.Slot)
	if err != nil || len(rows) == 0 {
		return dialect.Row{Key: key}, err
	}
	return rows[0], nil
}

// List returns up to limit lock rows beyond the key after, in the byte order of the names.
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	rows, err := whenFree(ctx, d.file(), func() ([]dialect.Row, error) {
		return d.list(ctx, d.pool, after, heldOnly, limit)
	})
	return rows, fail("list", err)
}

func (d *Dialect) list(
	ctx context.Context, s engine.Session, after dialect.Key, heldOnly bool, limit int,
) ([]dialect.Row, error) {
	return engine.Query(ctx, s, scanRow, d.sql.list, after.Name, after.Slot, heldOnly, max(limit, 0))
}

// scanRow reads the columns that get.sql and list.sql have in common.
func scanRow(rows dialect.Rows, row *dialect.Row) error {
	var acquired, freeIn, bar int64
	var leaseID, owner, holder sql.NullString
	var remaining, renewedAt, ttl sql.NullInt64
	err := rows.Scan(&row.Name, &row.Slot, &row.Fence, &row.Note, &acquired, &freeIn, &bar, &leaseID, &owner,
		&holder, &remaining, &renewedAt, &ttl)
	row.Exists = true
	row.AcquiredAt, row.FreeIn = time.UnixMicro(acquired).UTC(), engine.Duration(freeIn)
	if row.FreeIn > 0 {
		row.Bar = engine.Duration(bar)
	}
	row.Held, row.LeaseID, row.Owner = leaseID.Valid, leaseID.String, owner.String
	if remaining.Valid {
		row.Holder, row.Remaining = holder.String, engine.Duration(remaining.Int64)
		row.RenewedAt, row.TTL = time.UnixMicro(renewedAt.Int64).UTC(), engine.Duration(ttl.Int64)
		row.Lease = dialect.LeaseLive
		if row.Remaining <= 0 {
			row.Lease = dialect.LeaseExpired
		}
	}
	return err
}
