package main

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// leaseOf returns the id of the lease under which a lock is held, or "" if that is over.
func (c *connection) leaseOf(ctx context.Context, l inspect.Lock) (string, error) {
	rows, err := rowsOf(ctx, c, l.Name)
	i := slices.IndexFunc(rows, func(row dialect.Row) bool {
		return row.Fence == l.Fence && row.AcquiredAt.Equal(l.Since) && row.Holder == l.Holder
	})
	if err != nil || i < 0 {
		return "", err
	}
	return rows[i].LeaseID, nil
}
