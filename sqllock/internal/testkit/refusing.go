package testkit

import (
	"context"
	"errors"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// Refusing is one process's connection to a database, on which operations fail at once while Refuse
// says so. Faults that are scripted for the database itself affect all processes.
type Refusing struct {
	*sqllocktest.Dialect
	Class  dialect.Class
	Refuse func(op sqllocktest.Op) bool
}

var errRefused = errors.New("refused")

func refused[T any](d *Refusing, op sqllocktest.Op, f func() (T, error)) (answer T, err error) {
	if d.Refuse(op) {
		return answer, errRefused
	}
	return f()
}

// Acquire fails while Refuse says so.
func (d *Refusing) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return refused(d, sqllocktest.OpAcquire, func() ([]dialect.Grant, error) {
		return d.Dialect.Acquire(ctx, requests)
	})
}

// Get fails while Refuse says so.
func (d *Refusing) Get(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return refused(d, sqllocktest.OpGet, func() ([]dialect.Row, error) { return d.Dialect.Get(ctx, keys) })
}

// CreateLease fails while Refuse says so.
func (d *Refusing) CreateLease(ctx context.Context, l dialect.Lease) error {
	_, err := refused(d, sqllocktest.OpCreateLease, func() (struct{}, error) {
		return struct{}{}, d.Dialect.CreateLease(ctx, l)
	})
	return err
}

// RenewLeases fails while Refuse says so.
func (d *Refusing) RenewLeases(ctx context.Context, ids []string) ([]bool, error) {
	return refused(d, sqllocktest.OpRenewLeases, func() ([]bool, error) { return d.Dialect.RenewLeases(ctx, ids) })
}

// Classify returns Class for the error of a refused operation.
func (d *Refusing) Classify(err error) dialect.Class {
	if errors.Is(err, errRefused) {
		return d.Class
	}
	return d.Dialect.Classify(err)
}
