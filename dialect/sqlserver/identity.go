package sqlserver

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var _ dialect.Identifier = (*Dialect)(nil)

// Identities returns the instance's name, if it has one.
func (d *Dialect) Identities(ctx context.Context) ([]dialect.Identity, error) {
	found, err := query(ctx, d.pool, engine.One[sql.NullString], sqlIdentity)
	if err != nil {
		return nil, fail("identify the server", err)
	}
	if len(found) == 0 || found[0].String == "" {
		return nil, nil
	}
	return []dialect.Identity{{What: "a SQL Server instance", ID: found[0].String}}, nil
}
