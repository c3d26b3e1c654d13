package postgres

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var _ dialect.Identifier = (*Dialect)(nil)

// Identities returns the system identifier, which all databases of a server and its physical
// replicas share. It returns nothing if this role may not read the identifier, or if the server has
// none, as with servers that only speak PostgreSQL's protocol.
func (d *Dialect) Identities(ctx context.Context) ([]dialect.Identity, error) {
	found, err := query(ctx, d.pool, engine.One[string], sqlIdentity)
	switch {
	case err != nil && d.Classify(err) == dialect.ClassPermanent, err == nil && len(found) == 0:
		return nil, nil
	case err != nil:
		return nil, fail("identify the server", err)
	}
	return []dialect.Identity{{
		What: "a PostgreSQL server, or are its primary and replica",
		ID:   "system identifier " + found[0],
	}}, nil
}
