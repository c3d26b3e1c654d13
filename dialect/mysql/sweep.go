package mysql

import (
	"context"

	"github.com/sqllock/sqllock/internal/engine"
)

// sweep deletes up to limit rows: one statement finds their keys without locking anything, and then one each decides.
func (d *Dialect) sweep(ctx context.Context, what, candidates string, limit int,
	one func(ctx context.Context, s engine.Session, f flavour, key string) (int, error),
) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return 0, fail(what, err)
	}
	keys, err := engine.Query(ctx, d.pool, engine.One[string], candidates, limit)
	total := 0
	for _, key := range keys {
		n, err := one(ctx, d.pool, f, key)
		if err != nil {
			return total, fail(what, err)
		}
		total += n
	}
	return total, fail(what, err)
}
