package mysql

import (
	"context"

	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// deleteChunk deletes up to limit rows. One statement finds their keys without locking anything,
// and then one statement for each decides.
func (d *Dialect) deleteChunk(ctx context.Context, what, candidates string, args []any, limit int,
	one func(ctx context.Context, s engine.Session, f flavour, key string) (int, error),
) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	f, err := d.flavour(ctx)
	if err != nil {
		return 0, fail(what, err)
	}
	keys, err := engine.Query(ctx, d.pool, engine.One[string], candidates, append(args, limit)...)
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
