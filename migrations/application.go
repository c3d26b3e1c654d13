package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/internal/dburl"
)

// Application prepares to migrate the application's own tables with the files in fsys, exactly as golang-migrate's
// command does: by its driver, with its version table (schema_migrations, or what x-migrations-table says) and its
// lock, so the two can be mixed. It asks the database nothing yet. An error about the URL wraps dialect.ErrInvalid and
// hides the password; one about fsys may wrap fs.ErrNotExist. A nil Options is fine.
//
// What sqllock promises of its own tables (one transaction, no lock that outlives ctx) it can't promise here, with one
// exception: LockTimeout and ctx bound the waiting for the lock, which in golang-migrate they don't. SQLite has no such
// lock in golang-migrate: let one process at a time migrate.
func Application(fsys fs.FS, engine *Engine, url string, options *Options) (*Migrator, error) {
	migrateURL, err := engine.MigrateURL(url)
	if err != nil {
		return nil, err
	}
	return newMigrator(fsys, &application{url: migrateURL, engine: engine}, options)
}

// application is the target for the application's tables, which golang-migrate opens itself.
type application struct {
	url    string
	engine *Engine
}

func (t *application) table() (string, bool) { return "", false }

func (t *application) position(err error, text string) (line, column int) {
	return t.engine.Position(err, text)
}

func (t *application) drop(s session) error { return s.driver.Drop() }

func (t *application) version(ctx context.Context, options Options) (at int, dirty bool, err error) {
	driver, err := t.open(ctx, options)
	if err != nil {
		return 0, false, err
	}
	at, dirty, err = driver.Version()
	return at, dirty, errors.Join(err, driver.Close())
}

func (t *application) locked(ctx context.Context, options Options, f func(session) error) error {
	begun := time.Now()
	driver, err := t.open(ctx, options)
	if err != nil {
		return err
	}
	options.LockTimeout -= time.Since(begun)
	if err := lock(ctx, options, driver); err != nil {
		return err
	}
	return errors.Join(f(session{driver: driver}), driver.Unlock(), driver.Close())
}

// open connects, and makes the version table if need be, for which golang-migrate takes the lock.
func (t *application) open(ctx context.Context, options Options) (database.Driver, error) {
	driver, err := bounded(ctx, options, func() (database.Driver, error) {
		return database.Open(t.url)
	}, func(driver database.Driver, err error) {
		if err == nil {
			_ = driver.Close()
		}
	})
	var timeout *LockTimeoutError
	switch query, refused, cause := databaseError(err); {
	case err == nil, ctx.Err() != nil, errors.As(err, &timeout):
		return driver, err
	case dburl.Leaks(err.Error(), t.url):
		return nil, &ConnectError{Err: errors.New("the driver's message would show the password, so it is left out")}
	case refused:
		return nil, fmt.Errorf("can't prepare the version table: %w (%s)", cause, query)
	default:
		return nil, &ConnectError{Err: err}
	}
}

// lock takes golang-migrate's lock, or closes the driver.
func lock(ctx context.Context, options Options, driver database.Driver) error {
	type none struct{}
	_, err := bounded(ctx, options, func() (none, error) { return none{}, driver.Lock() }, func(_ none, err error) {
		if err == nil {
			_ = driver.Unlock()
		}
		_ = driver.Close()
	})
	return err
}

// bounded calls do, which knows neither ctx nor a timeout of ours, and again for as long as it answers "locked", until
// ctx ends or the lock timeout has passed. Where it fails or comes too late, what it answered is given to undo.
func bounded[T any](ctx context.Context, options Options, do func() (T, error), undo func(T, error)) (result T, err error) {
	type answer struct {
		result T
		err    error
	}
	answers := make(chan answer, 1)
	bounded, cancel := context.WithTimeout(ctx, options.LockTimeout)
	defer cancel()
	go func() {
		result, err := do()
		for errors.Is(err, database.ErrLocked) && bounded.Err() == nil {
			wait(bounded)
			result, err = do()
		}
		answers <- answer{result, err}
	}()
	select {
	case a := <-answers:
		if a.err == nil {
			return a.result, nil
		}
		undo(a.result, a.err)
		if !errors.Is(a.err, database.ErrLocked) {
			return result, a.err
		}
	case <-bounded.Done():
		go func() {
			late := <-answers
			undo(late.result, late.err)
		}()
	}
	if ctx.Err() != nil {
		return result, fmt.Errorf("stopped before anything was changed: %w", ended(ctx))
	}
	return result, &LockTimeoutError{Timeout: options.LockTimeout}
}
