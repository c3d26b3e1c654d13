package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/sqllock/sqllock/dialect"
)

// Run applies all pending migrations of the application to db, from the files in source. It works
// exactly as golang-migrate does, and uses its version table. It returns the steps that it applied,
// also when it returns an error.
//
// Any number of processes may call Run at the same time, for example when they start. One of them
// migrates. The others wait, learn from Options.Waiting which process they wait for, and then find
// nothing to do.
//
// Options.Lock is the lock that ensures this. If the lock is a lease (behind a pooler in
// transaction mode, on Galera, on SQLite), Run creates sqllock's own tables if they are missing. If
// the lock is lost while migrations run, Run stops before the next migration and returns a
// [LockLostError]. While Run holds the lock, it also holds golang-migrate's own lock, so that the
// command `migrate` waits too. It does not take that lock where session locks can't be trusted,
// because golang-migrate's lock is a session lock.
//
// ctx bounds the wait, as Options.LockTimeout does, and stops a run: see [Migrator]. Run needs two
// connections from db. With a third it can cancel a statement on MySQL, and see what a migration
// waits for. On MySQL, files with several statements need multiStatements=true. options may be nil.
func Run(ctx context.Context, db *sql.DB, engine *Engine, source fs.FS, options *Options) ([]Step, error) {
	m, err := NewApplication(db, engine, source, options)
	if err != nil {
		return nil, err
	}
	return m.Up(ctx, All)
}

// NewApplication returns a [Migrator] for the application's own tables in db, with the files in
// source: see [Run]. It sends nothing to the database. An error about an argument wraps
// [dialect.ErrInvalid]; an error about source may wrap [fs.ErrNotExist].
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
	driver, err := engine.Driver(table)
	if err != nil {
		return nil, err
	}
	return newApplication(appDatabase{engine: engine, db: db, driver: driver}, source, options)
}

// Application is [NewApplication] for the database that url names. It accepts the settings that
// golang-migrate's command takes from a URL (x-migrations-table and the like), so that both can be
// used on one database. An error about the URL wraps [dialect.ErrInvalid] and hides the password.
func Application(source fs.FS, engine *Engine, url string, options *Options) (*Migrator, error) {
	settings, err := engine.Parse(url)
	if err != nil {
		return nil, err
	}
	return newApplication(appDatabase{engine: engine, settings: settings, driver: settings.Driver}, source, options)
}

func newApplication(p appDatabase, source fs.FS, options *Options) (*Migrator, error) {
	return newMigrator(source, &guarded{target: &pooled{p}, appDatabase: p}, options)
}
