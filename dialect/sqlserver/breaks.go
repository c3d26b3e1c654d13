package sqlserver

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Break frees each lock that still names its claim's owner, and records that. Each costs one
// statement, one round trip and one commit. It waits behind a Guard of the same lock until that
// transaction or ctx ends.
func (d *Dialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	return each("break", breaks, func(b dialect.Break) (bool, error) { return breakLock(ctx, d.pool, b) })
}

func breakLock(ctx context.Context, s engine.Session, b dialect.Break) (bool, error) {
	if err := b.Check(); err != nil {
		return false, err
	}
	n, err := exec(ctx, s, sqlBreak, text(b.ID), text(b.Name), b.Slot, text(b.Kind), b.Fence, text(b.Holder),
		text(b.By), text(b.From), text(b.Reason), text(b.Owner))
	if err != nil || n == 1 {
		return err == nil, err
	}
	// unless it was this very break that released it, and the reply was lost
	n, err = exec(ctx, s, sqlSeeBreak, text(b.ID))
	return n == 1, err
}

// ListBreaks returns up to limit breaks of locks of that name, the last one first. It waits for
// nothing.
func (d *Dialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	r, err := d.reads(ctx)
	if err != nil {
		return nil, fail("list breaks", err)
	}
	broken, err := listBreaks(ctx, d.pool, r, name, limit)
	return broken, fail("list breaks", err)
}

func listBreaks(ctx context.Context, s engine.Session, r reads, name string, limit int) ([]dialect.Broken, error) {
	return query(ctx, s, engine.ScanBroken, r.breaks, text(name), max(limit, 0))
}

// PurgeBreaks deletes up to limit rows that were written longer ago than ago, and skips those that
// others have locked.
func (d *Dialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeBreaks, engine.Micros(ago), int64(max(limit, 0)))
	return n, fail("purge breaks", err)
}
