package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/engine"
)

// flavour is what makes a difference to the statements. None of it changes while a server runs.
type flavour struct {
	maria, galera bool
	cluster       string // what it is a member of, where other members take writes too
	rollsBack     bool   // a row-lock wait that times out rolls back the whole transaction
}

// flavour asks the server, the first time, what it is.
func (d *Dialect) flavour(ctx context.Context) (flavour, error) {
	if known := d.server.Load(); known != nil {
		return *known, nil
	}
	f, err := readFlavour(ctx, d.pool)
	if err == nil {
		d.server.Store(&f)
	}
	return f, err
}

func readFlavour(ctx context.Context, s engine.Session) (f flavour, err error) {
	version, err := one(ctx, s, engine.One[string], sqlVersion)
	if err != nil {
		return f, err
	}
	f.maria = strings.Contains(strings.ToLower(version), "mariadb")
	names, err := engine.Query(ctx, s, func(rows *sql.Rows, name *string) error {
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

// mayLock refuses a lock that another member would give to somebody else.
func (f flavour) mayLock(what string) error {
	if f.cluster == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is local to %s, so another could give the same lock away; use a lease lock, "+
		"and its Guard for what has to commit with the lock", dialect.ErrUnsupported, what, f.cluster)
}
