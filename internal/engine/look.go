package engine

import (
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Placed is a lock row with its place among the keys that were asked for.
type Placed struct {
	dialect.Row
	Place int // as the statement counts
}

// ScanPlaced reads place, name, slot, fence, acquired_at, free_at, note, owner and lease_id, in which acquired_at is in
// microseconds since 1970 and free_at in microseconds from now.
func ScanPlaced(rows *sql.Rows, row *Placed) error {
	var acquiredAt, freeIn int64
	var owner, leaseID sql.NullString
	err := rows.Scan(&row.Place, &row.Name, &row.Slot, &row.Fence, &acquiredAt, &freeIn, &row.Note, &owner, &leaseID)
	row.set(acquiredAt, freeIn, owner, leaseID)
	return err
}

// ScanPlacedWithLease reads what ScanPlaced does and then, where the statement sees both tables at one moment, the lease
// that the row names: holder, and how long it will last in microseconds, null where it is gone.
func ScanPlacedWithLease(rows *sql.Rows, row *Placed) error {
	var acquiredAt, freeIn int64
	var owner, leaseID, holder sql.NullString
	var left sql.NullInt64
	err := rows.Scan(&row.Place, &row.Name, &row.Slot, &row.Fence, &acquiredAt, &freeIn, &row.Note, &owner, &leaseID, &holder, &left)
	row.set(acquiredAt, freeIn, owner, leaseID)
	if left.Valid {
		lease := Lease{leaseID.String, holder.String, Duration(left.Int64)}
		row.Lease, row.Holder, row.Remaining = state(lease), lease.Holder, lease.Left
	}
	return err
}

// set writes what both ways of reading a row have to convert.
func (row *Placed) set(acquiredAt, freeIn int64, owner, leaseID sql.NullString) {
	row.Exists = true
	row.AcquiredAt, row.FreeIn = time.UnixMicro(acquiredAt).UTC(), Duration(freeIn)
	row.Held, row.Owner, row.LeaseID = leaseID.Valid, owner.String, leaseID.String
}

// Lease is what a look finds of a lease.
type Lease struct {
	ID, Holder string
	Left       time.Duration // until it runs out
}

// ScanLease reads id, holder and how long the lease will last, in microseconds.
func ScanLease(rows *sql.Rows, l *Lease) error {
	var left int64
	err := rows.Scan(&l.ID, &l.Holder, &left)
	l.Left = Duration(left)
	return err
}

// AddLeases reads the leases that the rows name, if they name any, and writes into the rows what became of them. Those
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
			rows[i].Lease, rows[i].Holder, rows[i].Remaining = state(lease), lease.Holder, lease.Left
		}
	}
	return nil
}

func state(l Lease) dialect.LeaseState {
	if l.Left > 0 {
		return dialect.LeaseLive
	}
	return dialect.LeaseExpired
}
