package migrations

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// appDatabase is the application's database: the caller's pool, or a URL that is opened for each
// run.
type appDatabase struct {
	engine   *Engine
	driver   Driver
	db       *sql.DB
	settings *Settings // those of the URL; nil if db is the caller's pool
}

// opened is a pool, and the dialect that takes locks in it.
type opened struct {
	db      *sql.DB
	dialect dialect.Dialect
	close   func() error
}

// open opens the pool for the lock.
func (p appDatabase) open(options Options) (o opened, err error) {
	o = opened{db: p.db, close: func() error { return nil }}
	if p.db == nil {
		if o.db, o.dialect, err = p.settings.Locks(); err != nil {
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

// pool opens the pool for the migrations. The caller must call done to close it.
func (p appDatabase) pool() (db *sql.DB, done func() error, err error) {
	if p.db != nil {
		return p.db, func() error { return nil }, nil
	}
	if db, err = p.settings.Open(); err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}

// guarded is a target whose lock is taken before anything is read from it: one process at a time
// opens golang-migrate's driver and reads the version.
type guarded struct {
	target
	appDatabase
}

func (t *guarded) locked(s *stop, options Options, f func(session) error) error {
	if options.Lock == lock.None {
		return t.target.locked(s, options, f)
	}
	begun := time.Now()
	locks, err := t.open(options)
	if err != nil {
		return err
	}
	held, err := t.take(s.asked, locks, options)
	if err != nil {
		return errors.Join(err, locks.close())
	}
	waited := time.Since(begun)
	if options.Locked != nil {
		options.Locked(held.Kind(), waited)
	}
	options.LockTimeout = max(options.LockTimeout-waited, 1)
	options.Lock = held.Kind()
	err = t.under(s, held, options, f)
	if released := held.Release(s.asked); released != nil && err == nil && !errors.Is(released, sqllock.ErrSchema) {
		// All is applied and recorded. It does no harm if another process began to migrate
		// meanwhile, since it found nothing to do. The release also fails after a drop, because
		// drop removes the lease's table too.
		logger(options).Warn("sqllock: after the last migration the migration lock was lost, or its release "+
			"couldn't be confirmed",
			"err", released)
	}
	return errors.Join(err, locks.close())
}

// under calls f with the lock held. If the lock is lost, under ends the wait for golang-migrate's
// lock, and no further migration is begun.
func (t *guarded) under(s *stop, held *lock.Held, options Options, f func(session) error) error {
	ctx, cancel := context.WithCancelCause(s.asked)
	defer cancel(nil)
	defer context.AfterFunc(held.Context(), func() { cancel(context.Cause(held.Context())) })()
	under := *s
	under.asked = ctx
	return t.target.locked(&under, options, func(inner session) error {
		inner.stop = s
		inner.check = held.Check
		return f(inner)
	})
}

// take acquires the lock. It waits for the lock timeout at most.
func (t *guarded) take(ctx context.Context, locks opened, options Options) (*lock.Held, error) {
	o, err := t.options(ctx, locks.db, options)
	if err != nil {
		return nil, err
	}
	held, err := lock.Take(ctx, locks.dialect, o)
	timeout, isTimeout := errors.AsType[*lock.TimeoutError](err)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("stopped before anything was changed: %w", err)
	case isTimeout && timeout.Held == nil:
		return nil, t.engine.late(options.LockTimeout, timeout.Err)
	case isTimeout && options.NoWait:
		return nil, &LockTimeoutError{Held: timeout.Held, Err: timeout.Err}
	case isTimeout:
		return nil, &LockTimeoutError{Timeout: options.LockTimeout, Held: timeout.Held, Err: timeout.Err}
	}
	return nil, err
}

// options returns the options of the lock. It returns an error at once if the database can't be
// reached: waiting for a database to start is up to the caller.
func (t *guarded) options(ctx context.Context, db *sql.DB, options Options) (*lock.Options, error) {
	begun := time.Now()
	o := &lock.Options{
		Kind: options.Lock, Name: options.LockName, NoWait: options.NoWait, TTL: options.LockTTL,
		Holder: options.Holder, Logger: options.Logger,
		Waiting: options.Waiting, Chosen: options.Chosen, Prepare: prepare(db, t.engine, options, begun),
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, options.LockTimeout)
	defer cancel()
	var conn *sql.Conn
	err := t.engine.whenFree(outer, options, func(within context.Context) (err error) {
		if t.engine.Transaction.Busy == nil {
			within = ctx
		}
		conn, err = t.engine.connect(within, db)
		return err
	})
	if err == nil {
		defer func() { _ = conn.Close() }()
	}
	if err == nil && o.Name == "" {
		o.Name, err = t.lockName(ctx, conn)
	}
	timeout, isTimeout := errors.AsType[*LockTimeoutError](err)
	switch {
	case isTimeout:
		return nil, timeout
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && outer.Err() == nil:
		return nil, t.engine.late(options.LockTimeout, err)
	case err != nil:
		return nil, err
	}
	o.Timeout = max(options.LockTimeout-time.Since(begun), 1)
	return o, nil
}

// lockName returns the lock's name. It is the same for all processes that use the same version
// table.
func (t *guarded) lockName(ctx context.Context, conn *sql.Conn) (string, error) {
	scope, err := t.engine.scope(ctx, conn)
	if err != nil {
		return "", err
	}
	if scope = cmp.Or(t.driver.Schema, scope); scope != "" {
		scope += "."
	}
	return "migrations of " + scope + t.driver.Name, nil
}

func logger(options Options) *slog.Logger {
	if options.Logger == nil {
		return slog.Default()
	}
	return options.Logger
}
