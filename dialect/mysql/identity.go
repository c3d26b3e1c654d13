package mysql

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var _ dialect.Identifier = (*Dialect)(nil)

// Identities returns the server, the servers that it replicates from where this account may see
// them, and the Galera cluster or replication group that it is a member of. It returns the same for
// all of TiDB, whose servers don't say which cluster they belong to.
func (d *Dialect) Identities(ctx context.Context) ([]dialect.Identity, error) {
	f, err := d.flavour(ctx)
	if err != nil {
		return nil, fail("identify the server", err)
	}
	if f.product == tidb {
		return []dialect.Identity{{What: "a TiDB cluster, for all that can be seen", ID: "TiDB"}}, nil
	}
	v, err := readVariables(ctx, d.pool, sqlIdentity, sqlIdentityStatus)
	if err != nil {
		return nil, fail("identify the server", err)
	}
	const server = "a MySQL or MariaDB server, or are source and replica"
	shares := []dialect.Identity{{What: server, ID: serverID(v)}}
	if group := v["group_replication_group_name"]; group != "" {
		shares = append(shares, dialect.Identity{What: "a replication group", ID: group})
	}
	if cluster := v["wsrep_cluster_state_uuid"]; cluster != "" {
		shares = append(shares, dialect.Identity{What: "a Galera cluster", ID: cluster})
	}
	sources, err := engine.Query(ctx, d.pool, engine.One[string], sqlIdentitySource)
	if err != nil && d.Classify(err) != dialect.ClassPermanent && d.Classify(err) != dialect.ClassNoSchema {
		return nil, fail("identify the server's source", err)
	}
	for _, source := range sources {
		shares = append(shares, dialect.Identity{What: server, ID: source})
	}
	return shares, nil
}

// serverID returns the server's own id. MariaDB before 10.11.9 has none; for it serverID returns
// where the server is.
func serverID(v variables) string {
	for _, name := range []string{"server_uuid", "server_uid"} {
		if id := v[name]; id != "" {
			return id
		}
	}
	return v["hostname"] + ":" + v["port"] + " " + v["datadir"]
}
