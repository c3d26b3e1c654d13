package postgres

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Locate returns the names of tx's database and of the pool's. It runs one statement in each.
func (d *Dialect) Locate(ctx context.Context, tx dialect.Tx) (of, own string, err error) {
	if err := engine.NilTx(tx); err != nil {
		return "", "", fail("locate", err)
	}
	of, own, err = engine.Locate(ctx, d.pool.in(ctx, tx), d.pool, sqlLocate)
	return of, own, fail("locate", err)
}
