package main

import (
	"context"
	"slices"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// list returns the locks that match, with their waiters.
func (c *connection) list(ctx context.Context, all bool, matches func(inspect.Lock) bool) ([]inspect.Lock, error) {
	found, err := inspect.Read(ctx, c.locks, all, 0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found.Locks, func(l inspect.Lock) bool { return !matches(l) }), nil
}

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
