package postgres

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Break frees each lock that still names its claim's owner, or hands it to the next waiter, and
// records that. It runs one transaction for each. It waits behind a [Dialect.Guard] of the same
// lock, until that transaction ends or ctx does.
func (d *Dialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	return each("break", breaks, func(b dialect.Break) (bool, error) { return d.breakLock(ctx, b) })
}

func (d *Dialect) breakLock(ctx context.Context, b dialect.Break) (bool, error) {
	if err := b.Check(); err != nil {
		return false, err
	}
	if _, err := d.pool.learned(ctx); err != nil {
		return false, err
	}
	f, err := d.flavour(ctx, d.pool)
	if err != nil {
		return false, err
	}
	in := func(tx engine.Tx) engine.Session { return d.pool.in(ctx, tx) }
	broken, err := f.breakStatements(b).Commit(ctx, d.pool.source, in)
	if broken && err == nil && !f.plain {
		d.released(ctx, b.Claim, false)
	}
	return broken, engine.WithCause(ctx, err)
}

func (f *flavour) breakStatements(b dialect.Break) engine.Break {
	return engine.Break{
		Release: func(ctx context.Context, s engine.Session) (bool, error) {
			released, _, err := f.handOver(ctx, s, b.Claim)
			return released, err
		},
		Record: func(ctx context.Context, s engine.Session) error {
			_, err := exec(ctx, s, sqlRecordBreak, engine.BreakValues(b)...)
			return err
		},
		Recorded: func(ctx context.Context, s engine.Session) (bool, error) {
			found, err := query(ctx, s, engine.One[bool], sqlSeeBreak, b.ID)
			return len(found) == 1 && found[0], err
		},
	}
}

// ListBreaks reads the last breaks of locks of that name. It runs one statement and waits for
// nothing.
func (d *Dialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	broken, err := listBreaks(ctx, d.pool, name, limit)
	return broken, fail("list breaks", err)
}

func listBreaks(ctx context.Context, s engine.Session, name string, limit int) ([]dialect.Broken, error) {
	return query(ctx, s, engine.ScanBroken, sqlListBreaks, name, int64(max(limit, 0)))
}

// PurgeBreaks deletes up to limit rows that were written longer ago than ago, and returns how many.
func (d *Dialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := exec(ctx, d.pool, sqlPurgeBreaks, engine.Micros(ago), int64(max(limit, 0)))
	return n, fail("purge breaks", err)
}
