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

// Locked returns a driver for programs that use golang-migrate's API. Its Lock takes the migration
// lock in the database behind d, and then the lock of the driver that open returns. Locked calls
// open only while it holds the migration lock, because golang-migrate's drivers take their own lock
// when they are created, and wait for it without a timeout.
//
//	driver, err := migrations.Locked(func() (database.Driver, error) {
//		return pgx.WithInstance(db, &pgx.Config{})
//	}, postgres.New(db), nil)
//	m, err := migrate.NewWithInstance("iofs", source, "postgres", driver)
//	err = m.Up()
//
// If Options.Timeout is zero it is one second less than golang-migrate's own lock timeout. A
// program that sets one of them must also set the other (migrate.Migrate.LockTimeout); otherwise a
// lock that is acquired too late stays held until Close.
//
// If the lock is a lease, sqllock's tables must exist: call [Up] first, or let Options.Prepare
// create them. If the lock is lost between two migrations, the next one isn't begun and the error
// is [sqllock.ErrLost]. Close releases all locks.
func Locked(open func() (database.Driver, error), d dialect.Dialect, options *lock.Options) (database.Driver, error) {
	if open == nil || d == nil {
		return nil, fmt.Errorf("%w: Locked needs a function that opens the driver, and a dialect", dialect.ErrInvalid)
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

// Open returns an error: no URL names this driver.
func (d *lockedDriver) Open(string) (database.Driver, error) {
	return nil, fmt.Errorf("%w: this driver is created by migrations.Locked and not from a URL", dialect.ErrUnsupported)
}

// opened returns the inner driver, and opens it first if necessary. The caller holds mu.
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

// Lock takes both locks, or none of them.
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

// Unlock releases both locks.
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

// Close closes the inner driver and releases the lock.
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

// SetVersion records the version. golang-migrate marks a version as dirty right before it begins a
// migration, so that is when SetVersion checks that the lock is still held.
func (d *lockedDriver) SetVersion(version int, dirty bool) error {
	return d.with(func(driver database.Driver) error {
		if dirty && d.held != nil {
			if err := d.held.Check(context.Background()); err != nil {
				return fmt.Errorf("the migration to version %d wasn't begun: another process may be migrating by "+
					"now: %w", version, err)
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
