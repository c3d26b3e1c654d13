package mysql

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// Locate names the database of tx and that of the pool. It uses one statement in each.
func (d *Dialect) Locate(ctx context.Context, tx dialect.Tx) (of, own string, err error) {
	if err := engine.NilTx(tx); err != nil {
		return "", "", fail("locate", err)
	}
	of, own, err = engine.Locate(ctx, tx, d.pool, sqlLocate)
	return of, own, fail("locate", err)
}
