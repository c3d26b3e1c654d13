package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// standing is what matters to locks that one server gives out by itself. None of it changes while the server runs.
type standing struct {
	cluster   string // what it is a member of, where other members take writes too
	rollsBack bool   // a row-lock wait that times out rolls back the whole transaction
}

// standing asks the server, the first time, how it stands.
func (d *Dialect) standing(ctx context.Context) (standing, error) {
	if known := d.stands.Load(); known != nil {
		return *known, nil
	}
	found, err := readStanding(ctx, d.pool)
	if err == nil {
		d.stands.Store(&found)
	}
	return found, err
}

func readStanding(ctx context.Context, s engine.Session) (found standing, err error) {
	names, err := engine.Query(ctx, s, func(rows *sql.Rows, name *string) error {
		var value string
		return rows.Scan(name, &value)
	}, sqlStanding)
	for _, name := range names {
		switch name {
		case "wsrep_on":
			found.cluster = "one node of a Galera cluster"
		case "group_replication_single_primary_mode":
			found.cluster = "one member of a group with several primaries"
		case "innodb_rollback_on_timeout":
			found.rollsBack = true
		}
	}
	return found, err
}

// check refuses a lock that another member would give to somebody else.
func (s standing) check(what string) error {
	if s.cluster == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is local to %s, so another could give the same lock away; use a lease lock, "+
		"and its Guard for what has to commit with the lock", dialect.ErrUnsupported, what, s.cluster)
}
