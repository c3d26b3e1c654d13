package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Break frees each lock that still names its claim's owner, and records that. It uses one
// transaction for each. Like every write it waits for a guarded transaction.
func (d *Dialect) Break(ctx context.Context, breaks []dialect.Break) ([]bool, error) {
	return each("break", breaks, func(b dialect.Break) (bool, error) { return d.breakLock(ctx, b) })
}

func (d *Dialect) breakLock(ctx context.Context, b dialect.Break) (broken bool, err error) {
	if err := b.Check(); err != nil {
		return false, err
	}
	err = d.asWriter(ctx, func(tx *sql.Tx) (err error) {
		if broken, err = d.breakStatements(b).Run(ctx, dialect.SQL(tx)); err != nil {
			return &undoneError{err}
		}
		return tx.Commit()
	})
	return broken, err
}

func (d *Dialect) breakStatements(b dialect.Break) engine.Break {
	return engine.Break{
		Release: func(ctx context.Context, s engine.Session) (bool, error) {
			return d.claim(ctx, s, d.sql.release, b.Claim)
		},
		Record: func(ctx context.Context, s engine.Session) error {
			_, err := engine.Exec(ctx, s, d.sql.recordBreak, engine.BreakValues(b)...)
			return err
		},
		Recorded: func(ctx context.Context, s engine.Session) (bool, error) {
			found, err := engine.Query(ctx, s, engine.One[bool], d.sql.seeBreak, b.ID)
			return len(found) == 1 && found[0], err
		},
	}
}

// ListBreaks returns up to limit breaks of locks of that name, the last one first.
func (d *Dialect) ListBreaks(ctx context.Context, name string, limit int) ([]dialect.Broken, error) {
	broken, err := whenFree(ctx, d.file(), func() ([]dialect.Broken, error) {
		return d.listBreaks(ctx, d.pool, name, limit)
	})
	return broken, fail("list breaks", err)
}

func (d *Dialect) listBreaks(ctx context.Context, s engine.Session, name string, limit int) ([]dialect.Broken, error) {
	return engine.Query(ctx, s, engine.ScanBroken, d.sql.listBreaks, name, max(limit, 0))
}

// PurgeBreaks deletes up to limit rows that were written longer ago than ago.
func (d *Dialect) PurgeBreaks(ctx context.Context, ago time.Duration, limit int) (int, error) {
	n, err := write(ctx, d, func(s engine.Session) (int, error) {
		return engine.Exec(ctx, s, d.sql.purgeBreaks, engine.Micros(ago), max(limit, 0))
	})
	return n, fail("purge breaks", err)
}
