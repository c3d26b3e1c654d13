package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
)

// Locked is a driver for programs that use golang-migrate's API: its Lock is the migration lock in the database behind d,
// and then the lock of the driver that open makes. That one is made under the lock, because golang-migrate's drivers wait in
// their own lock when they are made, without a timeout.
//
//	driver, err := migrations.Locked(func() (database.Driver, error) {
//		return pgx.WithInstance(db, &pgx.Config{})
//	}, postgres.New(db), nil)
//	m, err := migrate.NewWithInstance("iofs", source, "postgres", driver)
//	err = m.Up()
//
// Options.Timeout is a second less than golang-migrate's own lock timeout if it is zero: whoever sets one sets the other
// (migrate.Migrate.LockTimeout), or a lock that comes too late stays taken until Close. Where the lock is a lease sqllock's
// tables have to be there: call Up before, or let Options.Prepare do it. If the lock is lost between two migrations, the next
// one isn't begun: the error is a sqllock.ErrLost. Close lets go of everything.
func Locked(open func() (database.Driver, error), d dialect.Dialect, options *lock.Options) (database.Driver, error) {
	if open == nil || d == nil {
		return nil, fmt.Errorf("%w: Locked needs a function that makes the driver, and a dialect", dialect.ErrInvalid)
	}
	full := lock.Options{}
	if options != nil {
		full = *options
	}
	if full.Timeout == 0 {
		full.Timeout = migrate.DefaultLockTimeout - time.Second
	}
	return &lockedDriver{open: open, dialect: d, options: full}, nil
}

type lockedDriver struct {
	open    func() (database.Driver, error)
	dialect dialect.Dialect
	options lock.Options

	mu     sync.Mutex // guards what follows
	driver database.Driver
	held   *lock.Held
}

// Open refuses: there is no URL for this driver.
func (d *lockedDriver) Open(string) (database.Driver, error) {
	return nil, fmt.Errorf("%w: this driver is made by migrations.Locked, and not by a URL", dialect.ErrUnsupported)
}

// opened is the driver within. The caller holds mu.
func (d *lockedDriver) opened() (database.Driver, error) {
	if d.driver != nil {
		return d.driver, nil
	}
	driver, err := d.open()
	if err == nil {
		d.driver = driver
	}
	return driver, err
}

// Lock takes both locks, or none.
func (d *lockedDriver) Lock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held != nil {
		return database.ErrLocked
	}
	held, err := lock.Take(context.Background(), d.dialect, &d.options)
	if timeout, ok := errors.AsType[*lock.TimeoutError](err); ok {
		return &LockTimeoutError{Timeout: timeout.Timeout, Held: timeout.Held, Err: timeout.Err}
	}
	if err != nil {
		return err
	}
	driver, err := d.opened()
	if err == nil {
		err = driver.Lock()
	}
	if err != nil {
		return errors.Join(err, held.Release(context.Background()))
	}
	d.held = held
	return nil
}

// Unlock gives both back.
func (d *lockedDriver) Unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		return database.ErrNotLocked
	}
	held := d.held
	d.held = nil
	return errors.Join(d.driver.Unlock(), held.Release(context.Background()))
}

// Close closes the driver within, and lets go of the lock.
func (d *lockedDriver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.driver != nil {
		err = d.driver.Close()
	}
	if d.held != nil {
		err = errors.Join(err, d.held.Release(context.Background()))
		d.held = nil
	}
	return err
}

// SetVersion records the version. Before a migration, which it marks as dirty, is when it must still be ours to begin.
func (d *lockedDriver) SetVersion(version int, dirty bool) error {
	return d.with(func(driver database.Driver) error {
		if dirty && d.held != nil {
			if err := d.held.Check(context.Background()); err != nil {
				return fmt.Errorf("the migration to version %d wasn't begun: another process may be migrating by now: %w", version, err)
			}
		}
		return driver.SetVersion(version, dirty)
	})
}

func (d *lockedDriver) Run(migration io.Reader) error {
	return d.with(func(driver database.Driver) error { return driver.Run(migration) })
}

func (d *lockedDriver) Version() (version int, dirty bool, err error) {
	err = d.with(func(driver database.Driver) (err error) {
		version, dirty, err = driver.Version()
		return err
	})
	return version, dirty, err
}

func (d *lockedDriver) Drop() error { return d.with(database.Driver.Drop) }

func (d *lockedDriver) with(f func(database.Driver) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	driver, err := d.opened()
	if err != nil {
		return err
	}
	return f(driver)
}
