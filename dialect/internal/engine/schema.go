package engine

import (
	"context"

	"github.com/sqllock/sqllock/dialect"
)

// ReadSchema reads golang-migrate's version table into server. statement selects version and dirty,
// of two rows if there are two.
func ReadSchema(ctx context.Context, s Session, server *dialect.Server, statement string) error {
	found, err := Query(ctx, s, func(rows dialect.Rows, _ *struct{}) error {
		var version int64 // golang-migrate writes -1 for none
		err := rows.Scan(&version, &server.Dirty)
		server.Schema = uint(max(version, 0))
		return err
	}, statement)
	if len(found) > 1 {
		server.Schema, server.Dirty, server.Several = 0, false, true
	}
	return err
}

// ReadCompatible reads into server what tables that are newer than known declare: the oldest
// version whose programs may use them, as statement selects it. If there is no such table, they
// declare nothing.
func ReadCompatible(
	ctx context.Context, s Session, server *dialect.Server, known uint, statement string, noTable func(error) bool,
) error {
	if server.Schema <= known {
		return nil
	}
	found, err := Query(ctx, s, One[int64], statement)
	if err != nil && noTable(err) {
		return nil
	}
	for _, version := range found { // there is one
		server.CompatibleFrom = max(server.CompatibleFrom, uint(max(version, 0)))
	}
	return err
}
