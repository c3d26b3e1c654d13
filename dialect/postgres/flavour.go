package postgres

import (
	"context"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/internal/engine"
)

// flavour is what makes a difference to the statements. None of it changes while a server runs.
type flavour struct {
	// plain means that only what PostgreSQL, CockroachDB and YugabyteDB have in common is sent.
	plain bool

	get, list, recall, seeLeases, guard, releaseMany string
}

var (
	native = flavour{
		get: sqlGet, list: sqlList, recall: sqlRecall, seeLeases: sqlSeeLeases, guard: sqlGuard,
		releaseMany: sqlReleaseMany,
	}
	plain = flavour{
		plain: true,
		get:   sqlGetAnywhere, list: sqlListAnywhere, recall: anywhere(sqlRecall), seeLeases: anywhere(sqlSeeLeases),
		guard: sqlGuardPlain, releaseMany: sqlReleaseManyPlain,
	}
)

// Plain makes the dialect use the plain flavour on any server. Without it, the dialect chooses that
// flavour by itself on CockroachDB and YugabyteDB; see the package comment. Processes with either
// flavour exclude each other. It is mainly for tests on PostgreSQL itself.
func Plain() Option {
	return func(d *Dialect) { d.server.Store(&plain) }
}

// flavour returns the server's flavour. The first time, it asks the server by s. A transaction asks
// by itself, so that it doesn't need a second connection.
func (d *Dialect) flavour(ctx context.Context, s engine.Session) (*flavour, error) {
	if known := d.server.Load(); known != nil {
		return known, nil
	}
	banner, err := query(ctx, s, engine.One[string], sqlVersion)
	if err != nil {
		return nil, err
	}
	f := &native
	if len(banner) == 1 && distributed(banner[0]) {
		f = &plain
	}
	d.server.CompareAndSwap(nil, f)
	return f, nil
}

// distributed reports whether a server that calls itself so needs the plain flavour.
func distributed(banner string) bool {
	name, _ := product(banner, "")
	return name != postgreSQL
}

// errPlain refuses what is done with advisory locks.
func errPlain(what string) error {
	return fmt.Errorf("%w: %s would be an advisory lock, and this server's aren't relied on: CockroachDB and "+
		"YugabyteDB had functions of that name for years that locked nothing; use a lease lock, and its Guard "+
		"for what has to commit with the lock", dialect.ErrUnsupported, what)
}

// errPolls refuses notifications.
var errPolls = fmt.Errorf("%w: sqllock uses no notifications on CockroachDB and YugabyteDB: waiting is polling there",
	dialect.ErrUnsupported)
