package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// flavour is what makes a difference to the statements. None of it changes while a server runs.
type flavour struct {
	product       product
	maria, galera bool
	cluster       string // the cluster it is a member of, if other members take writes too
	rollsBack     bool   // a row-lock wait that times out rolls back the whole transaction
	clock         *clock // TiDB's
}

// flavour returns the server's flavour, and reads it from the server the first time.
func (d *Dialect) flavour(ctx context.Context) (flavour, error) {
	if known := d.server.Load(); known != nil {
		return *known, nil
	}
	f, err := d.readFlavour(ctx, &d.pool.Prepared)
	if err == nil {
		d.server.Store(&f)
	}
	return f, err
}

func (d *Dialect) readFlavour(ctx context.Context, s engine.Session) (f flavour, err error) {
	version, err := one(ctx, s, engine.One[string], sqlVersion)
	if err != nil {
		return f, err
	}
	f.maria = strings.Contains(strings.ToLower(version), "mariadb")
	switch {
	case d.clock != nil:
		f.product, f.clock = tidb, d.clock
	case strings.Contains(version, "-TiDB-"): // "8.0.11-TiDB-v8.5.0"
		f.product, f.clock = tidb, clusterClock
	case strings.Contains(version, "-Vitess"): // "8.0.40-Vitess"
		f.product = vitess
	}
	names, err := engine.Query(ctx, s, func(rows dialect.Rows, name *string) error {
		var value string
		return rows.Scan(name, &value)
	}, sqlFlavour)
	for _, name := range names {
		switch name {
		case "wsrep_on":
			f.galera, f.cluster = true, "one node of a Galera cluster"
		case "group_replication_single_primary_mode":
			f.cluster = "one member of a group with several primaries"
		case "innodb_rollback_on_timeout":
			f.rollsBack = true
		}
	}
	return f, err
}

// caughtUp returns the query with a setting that makes a node of a Galera cluster apply what the
// other nodes have committed before it answers; otherwise it may lack a new row
// (https://mariadb.com/docs/server/ref/mdb/system-variables/wsrep_sync_wait). Only MariaDB has the
// statement for that.
func (f flavour) caughtUp(query string) string {
	if f.maria && f.galera {
		return "SET STATEMENT wsrep_sync_wait = 1 FOR " + query
	}
	return query
}

// mayHoldSessions refuses session locks where GET_LOCK can't be relied on.
func (f flavour) mayHoldSessions() error {
	if f.product == tidb {
		return fmt.Errorf("%w: GET_LOCK of TiDB waits for a second at least, and finds no deadlocks; %s",
			dialect.ErrUnsupported, insteadOfSession)
	}
	if f.product == vitess {
		return fmt.Errorf("%w: vtgate takes GET_LOCK only alone in a SELECT, and its connections aren't the "+
			"server's; %s", dialect.ErrUnsupported, insteadOfSession)
	}
	return f.mayLock("GET_LOCK")
}

// mayLock refuses a lock that another member could give away too.
func (f flavour) mayLock(what string) error {
	if f.cluster == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is local to %s, so another could give the same lock away; use a lease lock, "+
		"and its Guard for what has to commit with the lock", dialect.ErrUnsupported, what, f.cluster)
}
