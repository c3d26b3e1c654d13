package engine

import (
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Placed is a lock row with its index among the requested keys.
type Placed struct {
	dialect.Row
	Index int // as the statement counts
}

// ScanPlaced reads index, name, slot, fence, acquired_at (in microseconds since 1970), free_at (in
// microseconds from now), the length of the bar, note, owner and lease_id.
func ScanPlaced(rows dialect.Rows, row *Placed) error {
	var columns lockColumns
	err := rows.Scan(columns.to(row)...)
	row.set(columns)
	return err
}

// ScanPlacedWithLease reads what ScanPlaced reads and then the lease that the row names, for a
// statement that sees both tables at one moment: holder, its remaining time in microseconds, its
// renewal in microseconds since 1970, and its TTL in microseconds. These are null if the lease is
// gone.
func ScanPlacedWithLease(rows dialect.Rows, row *Placed) error {
	var columns lockColumns
	var holder sql.NullString
	var remaining, renewedAt, ttl sql.NullInt64
	err := rows.Scan(append(columns.to(row), &holder, &remaining, &renewedAt, &ttl)...)
	row.set(columns)
	if remaining.Valid {
		lease := Lease{ID: row.LeaseID, Holder: holder.String, Remaining: Duration(remaining.Int64)}
		lease.renewed(renewedAt.Int64, ttl.Int64)
		lease.addTo(&row.Row)
	}
	return err
}

// lockColumns are the columns of a lock's row that have to be converted.
type lockColumns struct {
	acquiredAt, freeIn, bar int64
	owner, leaseID          sql.NullString
}

func (c *lockColumns) to(row *Placed) []any {
	return []any{
		&row.Index, &row.Name, &row.Slot, &row.Fence, &c.acquiredAt, &c.freeIn, &c.bar, &row.Note, &c.owner, &c.leaseID,
	}
}

func (row *Placed) set(c lockColumns) {
	row.Exists = true
	row.AcquiredAt, row.FreeIn, row.Bar = time.UnixMicro(c.acquiredAt).UTC(), Duration(c.freeIn), Duration(c.bar)
	row.Held, row.Owner, row.LeaseID = c.leaseID.Valid, c.owner.String, c.leaseID.String
	if row.FreeIn <= 0 {
		row.Bar = 0
	}
}

// Lease is a lease as it was read.
type Lease struct {
	ID, Holder string
	Remaining  time.Duration // until it expires
	RenewedAt  time.Time
	TTL        time.Duration
}

// ScanLease reads id, holder, the remaining time in microseconds, the renewal in microseconds since
// 1970, and the TTL in microseconds.
func ScanLease(rows dialect.Rows, l *Lease) error {
	var remaining, renewedAt, ttl int64
	err := rows.Scan(&l.ID, &l.Holder, &remaining, &renewedAt, &ttl)
	l.Remaining = Duration(remaining)
	l.renewed(renewedAt, ttl)
	return err
}

func (l *Lease) renewed(at, ttl int64) { l.RenewedAt, l.TTL = time.UnixMicro(at).UTC(), Duration(ttl) }

func (l *Lease) addTo(row *dialect.Row) {
	row.Lease = dialect.LeaseExpired
	if l.Remaining > 0 {
		row.Lease = dialect.LeaseLive
	}
	row.Holder, row.Remaining, row.RenewedAt, row.TTL = l.Holder, l.Remaining, l.RenewedAt, l.TTL
}

// ScanRenewal reads id, the lease's renewal in microseconds since 1970, and its TTL in
// microseconds.
func ScanRenewal(rows dialect.Rows, r *dialect.Renewal) error {
	var at, ttl int64
	err := rows.Scan(&r.LeaseID, &at, &ttl)
	r.RenewedAt, r.TTL = time.UnixMicro(at).UTC(), Duration(ttl)
	return err
}

// ScanExpiry reads, after the columns before, whether the lease was ended, and its remaining time
// in microseconds.
func ScanExpiry(rows dialect.Rows, b *dialect.Expiry, before ...any) error {
	var remaining int64
	err := rows.Scan(append(before, &b.Dead, &remaining)...)
	if b.Dead {
		b.ExpiredFor = max(-Duration(remaining), 0)
	} else {
		b.Remaining = max(Duration(remaining), 0)
	}
	return err
}

// Expire calls end, which ends a lease if it has run out, and then look, which reads its state. A
// lease that look doesn't find is dead.
func Expire(end func() error, look func() ([]dialect.Expiry, error)) (dialect.Expiry, error) {
	if err := end(); err != nil {
		return dialect.Expiry{}, err
	}
	found, err := look()
	if err != nil || len(found) == 0 {
		return dialect.Expiry{Dead: err == nil}, err
	}
	for _, b := range found { // a lease that reuses the id, which doesn't happen, is alive
		if !b.Dead {
			return b, nil
		}
	}
	return found[0], nil
}

// AddLeases reads the leases that the rows name, if any, and adds their state to the rows. Leases
// that read doesn't find are gone.
func AddLeases(rows []dialect.Row, read func(ids []string) ([]Lease, error)) error {
	var ids []string
	byID := make(map[string]Lease)
	for _, row := range rows {
		if _, known := byID[row.LeaseID]; row.Held && !known {
			ids, byID[row.LeaseID] = append(ids, row.LeaseID), Lease{}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := read(ids)
	if err != nil {
		return err
	}
	for _, lease := range found {
		byID[lease.ID] = lease
	}
	for i := range rows {
		if lease := byID[rows[i].LeaseID]; lease.ID != "" {
			lease.addTo(&rows[i])
		}
	}
	return nil
}
