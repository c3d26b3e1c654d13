package sqllocktest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// Break implements [dialect.Breaks].
func (d *Dialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	for _, b := range breaks {
		if err := b.Check(); err != nil {
			return nil, err
		}
	}
	return each(ctx, d, OpBreak, breaks, d.breakLock)
}

// breakLock ends an acquisition and records that. The caller holds mu.
func (d *Dialect) breakLock(now time.Time, b dialect.Break) bool {
	recorded := slices.ContainsFunc(d.broken, func(other dialect.Broken) bool { return other.ID == b.ID })
	if recorded || !d.releaseOwned(now, b.Claim) {
		return recorded
	}
	b.Owner, b.Since = "", b.Since.Round(0).UTC()
	d.broken = append(d.broken, dialect.Broken{Break: b, At: now.Round(0).UTC()})
	return true
}

// ListBreaks implements [dialect.Breaks].
func (d *Dialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	var found []dialect.Broken
	err := d.do(ctx, OpListBreaks, func(time.Time) {
		for _, b := range d.broken {
			if b.Name == name {
				found = append(found, b)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b dialect.Broken) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Fence, a.Fence), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(max(limit, 0), len(found))], nil
}

// PurgeBreaks implements [dialect.Breaks].
func (d *Dialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	purged := 0
	err := d.do(ctx, OpPurgeBreaks, func(now time.Time) {
		d.broken = slices.DeleteFunc(d.broken, func(b dialect.Broken) bool {
			old := purged < limit && b.At.Add(ago).Before(now)
			if old {
				purged++
			}
			return old
		})
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}
