package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
)

// Holders tells who holds the migration lock: nobody, mostly one; see lock.Look. It waits for nobody. Only the application's migrations
// have such a lock: else it is a dialect.ErrUnsupported.
func (m *Migrator) Holders(ctx context.Context) (holders []lock.Holder, err error) {
	err = m.atLock(ctx, func(d dialect.Dialect, o *lock.Options) error {
		holders, err = lock.Look(ctx, d, o)
		return err
	})
	return holders, err
}

// Break takes the migration lock away from a holder of a lease: see lock.Break.
func (m *Migrator) Break(ctx context.Context, holder lock.Holder) error {
	return m.atLock(ctx, func(d dialect.Dialect, o *lock.Options) error { return lock.Break(ctx, d, o, holder) })
}

func (m *Migrator) atLock(ctx context.Context, f func(dialect.Dialect, *lock.Options) error) error {
	t, ok := m.target.(*guarded)
	if !ok {
		return fmt.Errorf("%w: sqllock's own tables are migrated under a lock that ends with its connection", dialect.ErrUnsupported)
	}
	place, err := t.open(m.options)
	if err != nil {
		return err
	}
	o, err := t.options(ctx, place.db, m.options)
	if err == nil {
		err = f(place.dialect, o)
	}
	return errors.Join(err, place.close())
}
