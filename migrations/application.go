package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/dburl"
)

// Run applies the application's own migrations, the files in source, to db: all that are pending, exactly as golang-migrate
// does, with its version table. Any number of processes may do so at once, when they start say: one migrates, the others
// wait, are told for whom (Options.Waiting), and then find nothing to do. It answers what it applied, also beside an error.
//
// The lock that sees to that is Options.Lock. Where it is a lease (behind a pooler in transaction mode, on Galera, on SQLite)
// Run makes sqllock's own tables if they are missing. If it is lost while migrations run, Run stops before the next one, with
// a LockLostError. While it is held golang-migrate's own lock is taken too, so that `migrate` waits; only not where session
// locks can't be trusted, for it is one.
//
// ctx bounds the waiting, as Options.LockTimeout does, and stops a run between two migrations: see Migrator. db needs two
// connections, and on MySQL multiStatements=true where a file has several statements. A nil Options is fine.
func Run(ctx context.Context, db *sql.DB, engine *Engine, source fs.FS, options *Options) ([]Step, error) {
	m, err := NewApplication(db, engine, source, options)
	if err != nil {
		return nil, err
	}
	return m.Up(ctx, All)
}

// NewApplication prepares to migrate the application's own tables in db with the files in source: see Run. It asks the
// database nothing yet. An error about an argument wraps dialect.ErrInvalid, and one about source may wrap fs.ErrNotExist.
func NewApplication(db *sql.DB, engine *Engine, source fs.FS, options *Options) (*Migrator, error) {
	switch {
	case db == nil:
		return nil, fmt.Errorf("%w: the *sql.DB is nil", dialect.ErrInvalid)
	case engine == nil:
		return nil, fmt.Errorf("%w: the *migrations.Engine is nil", dialect.ErrInvalid)
	case source == nil:
		return nil, fmt.Errorf("%w: the source of the migrations is nil", dialect.ErrInvalid)
	}
	var table string
	if options != nil {
		table = options.Table
	}
	newDriver := func(db *sql.DB) (database.Driver, error) { return engine.Driver(db, table) }
	return onPool(place{engine: engine, db: db}, source, newDriver, options)
}

// Application is NewApplication for the database that a URL names, with the settings that golang-migrate's command takes
// from it (x-migrations-table and the like), so the two can be mixed. An error about the URL wraps dialect.ErrInvalid and
// hides the password.
func Application(source fs.FS, engine *Engine, url string, options *Options) (*Migrator, error) {
	migrateURL, err := engine.MigrateURL(url)
	if err != nil {
		return nil, err
	}
	p := place{engine: engine, url: url}
	if engine.Settled != nil {
		newDriver, err := engine.Settled(url)
		if err != nil {
			return nil, err
		}
		return onPool(p, source, newDriver, options)
	}
	return newMigrator(source, &guarded{target: &application{url: migrateURL, engine: engine}, place: p}, options)
}

func onPool(p place, source fs.FS, newDriver func(*sql.DB) (database.Driver, error), options *Options) (*Migrator, error) {
	t := &pooled{place: p, fsys: source, newDriver: newDriver}
	m, err := newMigrator(source, &guarded{target: t, place: p}, options)
	if err == nil {
		t.files = m.files
	}
	return m, err
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

// version doesn't wait for who migrates, where golang-migrate can be told so.
func (t *application) version(ctx context.Context, options Options) (at int, dirty bool, err error) {
	look := *t
	if t.engine.NoLock != "" {
		look.url += "&" + t.engine.NoLock // every MigrateURL has a parameter already
	}
	driver, err := look.open(ctx, options)
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
	if err := lockDriver(ctx, options, driver); err != nil {
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

// lockDriver takes golang-migrate's lock, or closes the driver.
func lockDriver(ctx context.Context, options Options, driver database.Driver) error {
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
