package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// Holders returns the holders of the migration lock, usually none or one: see [lock.ReadHolder]. It
// does not wait for the lock. Only the application's migrations have such a lock; for sqllock's own
// tables the error is [dialect.ErrUnsupported].
func (m *Migrator) Holders(ctx context.Context) (holders []lock.Holder, err error) {
	err = m.atLock(ctx, func(d dialect.Dialect, o *lock.Options) error {
		holders, err = lock.ReadHolder(ctx, d, o)
		return err
	})
	return holders, err
}

// Break takes the migration lock away from the holder of a lease: see [lock.Break].
func (m *Migrator) Break(ctx context.Context, holder lock.Holder, options ...sqllock.BreakOption) error {
	return m.atLock(ctx, func(d dialect.Dialect, o *lock.Options) error {
		return lock.Break(ctx, d, o, holder, options...)
	})
}

func (m *Migrator) atLock(ctx context.Context, f func(dialect.Dialect, *lock.Options) error) error {
	t, ok := m.target.(*guarded)
	if !ok {
		return fmt.Errorf("%w: sqllock's own tables are migrated under a lock that the server releases when the "+
			"connection ends", dialect.ErrUnsupported)
	}
	locks, err := t.open(m.options)
	if err != nil {
		return err
	}
	o, err := t.options(ctx, locks.db, m.options)
	if err == nil {
		err = f(locks.dialect, o)
	}
	return errors.Join(err, locks.close())
}
