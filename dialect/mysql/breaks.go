package mysql

import (
	"context"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Break frees each lock that still names its claim's owner, and records that. It uses one
// transaction for each. It waits behind a Guard of the same lock until that transaction ends, ctx
// ends, or innodb_lock_wait_timeout has passed (Transient).
func (d *Dialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	return each("break", breaks, func(b dialect.Break) (bool, error) { return d.breakLock(ctx, b) })
}

func (d *Dialect) breakLock(ctx context.Context, b dialect.Break) (bool, error) {
	if d.db == nil {
		return false, dialect.CheckDB(nil)
	}
	if err := b.Check(); err != nil {
		return false, err
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return false, err
	}
	in := func(tx engine.Tx) engine.Session { return f.on(tx) }
	return breakStatements(b).Commit(ctx, engine.SQLConns(d.db), in)
}

func breakStatements(b dialect.Break) engine.Break {
	return engine.Break{
		Release: func(ctx context.Context, s engine.Session) (bool, error) { return release(ctx, s, b.Claim) },
		Record: func(ctx context.Context, s engine.Session) error {
			_, err := engine.Exec(ctx, s, sqlRecordBreak, engine.BreakValues(b)...)
			return err
		},
		Recorded: func(ctx context.Context, s engine.Session) (bool, error) {
			found, err := engine.Query(ctx, s, engine.One[bool], sqlSeeBreak, b.ID)
			return len(found) == 1 && found[0], err
		},
	}
}

// ListBreaks returns up to limit breaks of locks of that name, the last one first. It waits for
// nothing.
func (d *Dialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	broken, err := listBreaks(ctx, d.pool, name, limit)
	return broken, fail("list breaks", err)
}

func listBreaks(ctx context.Context, s engine.Session, name string, limit int) ([]dialect.Broken, error) {
	return engine.Query(ctx, s, engine.ScanBroken, sqlListBreaks, name, max(limit, 0))
}

// PurgeBreaks deletes up to limit rows that were written longer ago than ago. One statement finds
// them, and one more deletes each.
func (d *Dialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	return d.deleteChunk(ctx, "purge breaks", sqlOldBreaks, []any{engine.Micros(ago)}, limit, deleteBreak)
}

func deleteBreak(ctx context.Context, s engine.Session, _ flavour, id string) (int, error) {
	return engine.Exec(ctx, s, sqlDeleteBreak, id)
}
