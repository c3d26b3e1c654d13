package sqllock_test

import (
	"context"
	"errors"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// refusing is one process's way to a database, on which operations fail at once for as long as refuse says so: what is scripted
// for the database itself is so for all.
type refusing struct {
	*sqllocktest.Dialect
	class  dialect.Class
	refuse func(op sqllocktest.Op) bool
}

var errRefused = errors.New("refused")

func refused[T any](d *refusing, op sqllocktest.Op, f func() (T, error)) (answer T, err error) {
	if d.refuse(op) {
		return answer, errRefused
	}
	return f()
}

func (d *refusing) Acquire(ctx context.Context, requests []dialect.Request) ([]dialect.Grant, error) {
	return refused(d, sqllocktest.OpAcquire, func() ([]dialect.Grant, error) { return d.Dialect.Acquire(ctx, requests) })
}

func (d *refusing) Look(ctx context.Context, keys []dialect.Key) ([]dialect.Row, error) {
	return refused(d, sqllocktest.OpLook, func() ([]dialect.Row, error) { return d.Dialect.Look(ctx, keys) })
}

func (d *refusing) CreateLease(ctx context.Context, l dialect.Lease) error {
	_, err := refused(d, sqllocktest.OpCreateLease, func() (struct{}, error) { return struct{}{}, d.Dialect.CreateLease(ctx, l) })
	return err
}

func (d *refusing) Classify(err error) dialect.Class {
	if errors.Is(err, errRefused) {
		return d.class
	}
	return d.Dialect.Classify(err)
}
