package migrations_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/stub"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// The driver for golang-migrate's API is opened under the lock, by one process at a time.
func TestLocked(t *testing.T) {
	db := sqllocktest.New()
	opened := 0
	driver := func(holder string) database.Driver {
		d, err := migrations.Locked(func() (database.Driver, error) {
			opened++
			return (&stub.Stub{}).Open("stub://")
		}, db, &lock.Options{Holder: holder, Timeout: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		return d
	}
	a, b := driver("a"), driver("b")
	must(t, a.Lock())
	var timeout *migrations.LockTimeoutError
	if err := b.Lock(); !errors.As(err, &timeout) || timeout.Held.Holder != "a" ||
		!errors.Is(err, migrate.ErrLockTimeout) || opened != 1 {
		t.Errorf("Lock while a holds the lock: %v; %d drivers were opened", err, opened)
	}
	if err := a.Lock(); !errors.Is(err, database.ErrLocked) {
		t.Errorf("twice: %v", err)
	}
	must(t, a.SetVersion(1, true))
	must(t, a.Unlock())
	if err := a.Unlock(); !errors.Is(err, database.ErrNotLocked) {
		t.Errorf("twice: %v", err)
	}
	must(t, b.Lock())
	must(t, b.Close()) // releases the lock
	must(t, a.Lock())
	must(t, a.Close())

	if _, err := migrations.Locked(nil, db, nil); !errors.Is(err, dialect.ErrInvalid) {
		t.Errorf("no driver: %v", err)
	}
	if _, err := a.Open("stub://"); !errors.Is(err, dialect.ErrUnsupported) {
		t.Errorf("by URL: %v", err)
	}
}

// If the lock is lost between two migrations, the next one isn't begun.
func TestLockedLosesTheLock(t *testing.T) {
	db := sqllocktest.New()
	inner, err := (&stub.Stub{}).Open("stub://")
	must(t, err)
	options := &lock.Options{Kind: lock.Lease, Logger: slog.New(slog.DiscardHandler)}
	d, err := migrations.Locked(func() (database.Driver, error) { return inner, nil }, db, options)
	must(t, err)
	must(t, d.Lock())
	must(t, d.SetVersion(1, true))
	must(t, d.SetVersion(1, false))
	holders, err := lock.ReadHolder(context.Background(), db, options)
	must(t, err)
	must(t, lock.Break(context.Background(), db, options, holders[0]))
	if err := d.SetVersion(2, true); !errors.Is(err, sqllock.ErrLost) {
		t.Errorf("the lock is lost: %v", err)
	}
	if version, dirty, err := d.Version(); version != 1 || dirty || err != nil {
		t.Errorf("version %d, %v, %v", version, dirty, err)
	}
	if err := d.Close(); !errors.Is(err, sqllock.ErrLost) {
		t.Errorf("closing: %v", err)
	}
}
