package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/dburl"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// place is the application's database: the caller's pool, or a URL that is opened for each run.
type place struct {
	engine *Engine
	db     *sql.DB
	url    string
}

// opened is a pool, and what takes locks in it.
type opened struct {
	db      *sql.DB
	dialect dialect.Dialect
	close   func() error
}

func (p place) open(options Options) (o opened, err error) {
	o = opened{db: p.db, close: func() error { return nil }}
	if p.db == nil {
		if p.engine.Open == nil {
			return o, fmt.Errorf("%w: migrations for %s know no URLs; use an *sql.DB", dialect.ErrUnsupported, p.engine.Name)
		}
		if o.db, o.dialect, err = p.engine.Open(p.url); err != nil {
			return o, err
		}
		o.close = o.db.Close
	}
	if o.dialect == nil && p.engine.Dialect != nil {
		o.dialect = p.engine.Dialect(o.db)
	}
	if options.Dialect != nil {
		o.dialect = options.Dialect
	}
	return o, nil
}

// guarded is a target that is locked before anything is asked of it: golang-migrate's driver is opened, and the version
// read, by one process at a time.
type guarded struct {
	target
	place
}

func (t *guarded) locked(ctx context.Context, options Options, f func(session) error) error {
	if options.Lock == lock.None {
		return t.target.locked(ctx, options, f)
	}
	begun := time.Now()
	place, err := t.open(options)
	if err != nil {
		return err
	}
	held, err := t.take(ctx, place, options)
	if err != nil {
		return errors.Join(err, place.close())
	}
	waited := time.Since(begun)
	if options.Locked != nil {
		options.Locked(held.Kind(), waited)
	}
	options.LockTimeout = max(options.LockTimeout-waited, 1)
	options.Lock = held.Kind()
	err = t.under(ctx, held, options, f)
	if released := held.Release(ctx); released != nil && err == nil && !errors.Is(released, sqllock.ErrSchema) {
		// All is applied and recorded: that another process may have begun meanwhile, and found nothing to do, changes nothing.
		// And drop drops the lease's table, too.
		logger(options).Warn("sqllock: the migration lock was lost, or its release couldn't be confirmed, after the last migration",
			"err", released)
	}
	return errors.Join(err, place.close())
}

// under does f with the lock held. If it is lost, that ends the waiting for anything else.
func (t *guarded) under(ctx context.Context, held *lock.Held, options Options, f func(session) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(held.Context(), func() { cancel(context.Cause(held.Context())) })()
	return t.target.locked(ctx, options, func(s session) error {
		s.check = held.Check
		return f(s)
	})
}

// take waits for the lock, no longer than the lock timeout.
func (t *guarded) take(ctx context.Context, place opened, options Options) (*lock.Held, error) {
	o, err := t.options(ctx, place.db, options)
	if err != nil {
		return nil, err
	}
	held, err := lock.Take(ctx, place.dialect, o)
	timeout, isTimeout := errors.AsType[*lock.TimeoutError](err)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped before anything was changed: %w", err)
	case isTimeout:
		return nil, &LockTimeoutError{Timeout: options.LockTimeout, Held: timeout.Held, Err: timeout.Err}
	}
	return nil, err
}

// options are those of the lock. A database that isn't there shows at once: to wait for it is for who starts us.
func (t *guarded) options(ctx context.Context, db *sql.DB, options Options) (*lock.Options, error) {
	begun := time.Now()
	o := &lock.Options{
		Kind: options.Lock, Name: options.LockName, TTL: options.LockTTL, Holder: options.Holder, Logger: options.Logger,
		Waiting: options.Waiting, Chosen: options.Chosen, Prepare: prepare(db, t.engine, options, begun),
	}
	ctx, cancel := context.WithTimeout(ctx, options.LockTimeout)
	defer cancel()
	conn, err := connect(ctx, db)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if o.Name == "" {
		o.Name, err = t.lockName(ctx, conn, options)
	}
	if err != nil {
		return nil, err
	}
	o.Timeout = max(options.LockTimeout-time.Since(begun), 1)
	return o, nil
}

// lockName is the same for all who migrate what this version table counts.
func (t *guarded) lockName(ctx context.Context, conn *sql.Conn, options Options) (string, error) {
	table := options.Table
	if table == "" {
		_, settings := dburl.CutMigrate(t.url)
		table = settings.Get("x-migrations-table")
	}
	if table == "" {
		table = "schema_migrations"
	}
	var scope string
	if t.engine.Scope != "" {
		if err := conn.QueryRowContext(ctx, t.engine.Scope).Scan(&scope); err != nil {
			return "", &ConnectError{Err: err}
		}
	}
	if scope != "" {
		table = scope + "." + table
	}
	return "migrations of " + table, nil
}

func logger(options Options) *slog.Logger {
	if options.Logger == nil {
		return slog.Default()
	}
	return options.Logger
}
