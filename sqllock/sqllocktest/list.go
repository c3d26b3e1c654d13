package sqllocktest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Get implements [dialect.Locks].
func (d *Dialect) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return each(ctx, d, OpGet, keys, d.row)
}

// List implements [dialect.Locks].
func (d *Dialect) List(ctx context.Context, after dialect.Key, heldOnly bool, limit int) ([]dialect.Row, error) {
	var rows []dialect.Row
	err := d.do(ctx, OpList, func(now time.Time) {
		for key, l := range d.locks {
			if compare(key, after) > 0 && (l.leaseID != "" || !heldOnly) {
				rows = append(rows, d.row(now, key))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b dialect.Row) int { return compare(a.Key, b.Key) })
	return rows[:min(max(limit, 0), len(rows))], nil
}

func compare(a, b dialect.Key) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Slot, b.Slot))
}

func (d *Dialect) row(now time.Time, key dialect.Key) dialect.Row {
	row := dialect.Row{Key: key}
	l, ok := d.locks[key]
	if !ok {
		return row
	}
	row.Exists, row.Fence, row.Note = true, l.fence, l.note
	row.AcquiredAt, row.FreeIn = l.acquired.Round(0).UTC(), l.free.Sub(now)
	if row.FreeIn > 0 {
		row.Bar = l.free.Sub(l.acquired)
	}
	if l.leaseID == "" {
		return row
	}
	row.Held, row.Owner, row.LeaseID = true, l.owner, l.leaseID
	if lease, ok := d.leases[l.leaseID]; ok {
		row.Lease, row.Holder, row.Remaining = dialect.LeaseLive, lease.holder, lease.expires.Sub(now)
		row.RenewedAt, row.TTL = renewedAt(lease), lease.ttl
		if row.Remaining <= 0 {
			row.Lease = dialect.LeaseExpired
		}
	}
	return row
}
