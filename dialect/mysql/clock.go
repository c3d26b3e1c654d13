package mysql

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

var (
	_ dialect.ClockReader  = (*Dialect)(nil)
	_ dialect.MemberLister = (*Dialect)(nil)
)

// ReadClock returns the server's UTC_TIMESTAMP.
func (d *Dialect) ReadClock(ctx context.Context) (time.Time, error) {
	now, err := one(ctx, d.pool, engine.One[int64], sqlClock)
	if err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	return time.UnixMicro(now).UTC(), nil
}

// Members returns the other members of this server's group, for which an account needs SELECT on
// performance_schema.replication_group_members, or the other nodes of its Galera cluster. Replicas
// of another kind aren't found.
func (d *Dialect) Members(ctx context.Context) ([]string, error) {
	members, err := d.members(ctx)
	return members, fail("list the members", err)
}

func (d *Dialect) members(ctx context.Context) ([]string, error) {
	of, err := readVariables(ctx, d.pool, sqlMembership)
	switch {
	case err != nil:
		return nil, err
	case of["group_replication_group_name"] != "":
		return engine.Query(ctx, d.pool, engine.One[string], sqlGroupMembers)
	case of["wsrep_on"] != "":
		v, err := readVariables(ctx, d.pool, sqlGaleraMembers)
		return otherNodes(v), err
	}
	return nil, nil
}

// otherNodes returns the addresses of the nodes of a Galera cluster, except this one's. A node that
// was not told its own address reports AUTO.
func otherNodes(v variables) []string {
	nodes := strings.Split(v["wsrep_incoming_addresses"], ",")
	if own := v.number("wsrep_local_index", -1); own >= 0 && own < len(nodes) {
		nodes = slices.Delete(nodes, own, own+1)
	}
	for i, node := range nodes {
		if node == "" || node == "AUTO" {
			nodes[i] = "a node without wsrep_node_incoming_address"
		}
	}
	return nodes
}
