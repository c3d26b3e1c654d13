package migrations

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/sqllock"
)

// compatibleTable holds the oldest version whose programs may use the tables.
const compatibleTable = "sqllock_schema"

// ownTables is the target for sqllock's own tables, on a connection from the caller's pool.
type ownTables struct {
	db     *sql.DB
	engine *Engine
}

func (t *ownTables) own() bool { return true }

func (t *ownTables) position(err error, text string) (line, column int) {
	return t.engine.Position(err, text)
}

func (t *ownTables) hint(s session, err error, text string) string {
	return t.engine.hint(s, err, text)
}

func (t *ownTables) locked(s *stop, options Options, f func(session) error) (err error) {
	made, err := t.engine.Driver(Table)
	if err != nil {
		return err
	}
	var conn *sql.Conn
	err = t.engine.whenFree(s.asked, options, func(ctx context.Context) (err error) {
		conn, err = t.engine.connect(ctx, t.db)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	try := func(ctx context.Context) (bool, error) { return t.engine.TryLock(ctx, conn, Table) }
	if err := t.engine.waitForLock(s.asked, options, try); err != nil {
		discard(conn) // a transaction may be open on it
		return err
	}
	config := sharedConfig{engine: t.engine, own: true, until: s.work, within: t.engine.Transactional, beside: t.db}
	err = withConn(conn, config, func(db *sql.DB, sharedConn *sharedConn) error {
		if err := sharedConn.identify(); err != nil {
			return err
		}
		driver, table, err := made.New(db)
		if err != nil {
			return err
		}
		strict := &strict{driver, sharedConn, table}
		err = f(session{driver: strict, sharedConn: sharedConn, stop: s, within: t.engine.Transactional})
		return errors.Join(err, driver.Close())
	})
	if _, all := errors.AsType[*undoneError](err); all {
		discard(conn) // rolls back what is left of the transaction
		return err
	}
	return errors.Join(err, t.unlock(s.tidy, conn))
}

// unlock ends the run, also if the caller's ctx has ended. If it fails, the server releases the
// lock when the connection is closed.
func (t *ownTables) unlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := t.engine.Unlock(ctx, conn, Table); err != nil {
		discard(conn)
		return fmt.Errorf("can't end the migration, check the version before anything else: %w", err)
	}
	return nil
}

// inspect changes nothing and works on a replica.
func (t *ownTables) inspect(ctx context.Context, options Options, _ bool) (s seen, err error) {
	err = t.engine.whenFree(ctx, options, func(ctx context.Context) (err error) {
		s, err = t.read(ctx)
		return err
	})
	return s, err
}

func (t *ownTables) read(ctx context.Context) (s seen, err error) {
	conn, err := t.engine.connect(ctx, t.db)
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close() }()
	var tables int
	if err := conn.QueryRowContext(ctx, t.engine.HasTable, Table).Scan(&tables); err != nil {
		return s, err
	}
	if tables == 0 {
		_, err := t.engine.scope(ctx, conn)
		return seen{version: database.NilVersion}, err
	}
	err = withConn(conn, sharedConfig{own: true}, func(_ *sql.DB, l *sharedConn) (err error) {
		s.version, s.dirty, err = l.version(ctx, Table)
		return err
	})
	return s, err
}

// compatibleFrom reads the oldest version whose programs may use the tables. It returns 0 if the
// tables don't say.
func (t *ownTables) compatibleFrom(ctx context.Context) (from uint, err error) {
	conn, err := t.engine.connect(ctx, t.db)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	var tables int
	if err := conn.QueryRowContext(ctx, t.engine.HasTable, compatibleTable).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = conn.QueryRowContext(ctx, "SELECT compatible_from FROM "+compatibleTable).Scan(&from)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return from, err
}

func (t *ownTables) drop(s session) error {
	tables, err := t.engine.tables()
	if err != nil {
		return err
	}
	for _, table := range append(tables, made{"TABLE", Table}) {
		if err := s.sharedConn.exec(s.stop.work, "DROP "+table.kind+" IF EXISTS "+table.name); err != nil {
			return fmt.Errorf("can't drop %s: %w", table.name, err)
		}
	}
	return nil
}

// connect returns a connection on which a ping has succeeded. Idle connections of the pool may be
// dead; after a restart of the server all of them are.
func connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	for idle := db.Stats().Idle; ; idle-- {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, &ConnectError{Err: err}
		}
		if err = conn.PingContext(ctx); err == nil {
			return conn, nil
		}
		_ = conn.Close()
		if idle <= 0 || !errors.Is(err, driver.ErrBadConn) {
			return nil, &ConnectError{Err: err}
		}
	}
}

// connect is like the function connect, but if the database is locked by another connection it
// returns the database's own error in place of a ConnectError.
func (e *Engine) connect(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	conn, err := connect(ctx, db)
	if cause, ok := errors.AsType[*ConnectError](err); ok && e.Transaction.Busy != nil && e.Transaction.Busy(err) {
		err = cause.Err
	}
	return conn, err
}

// leastWait is how long to wait for a locked database if there is no time to wait for another
// process that migrates. Writers usually hold that lock only for a moment.
const leastWait = 100 * time.Millisecond

// whenFree calls f again for as long as other connections have locked the database, until the lock
// timeout has passed or ctx ends.
func (e *Engine) whenFree(ctx context.Context, options Options, f func(ctx context.Context) error) error {
	if e.Transaction.Busy == nil {
		return f(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, max(options.LockTimeout, leastWait))
	defer cancel()
	for {
		err := f(bounded)
		switch {
		case err == nil:
			return nil
		case e.Transaction.Busy(err):
			wait(bounded)
		case bounded.Err() == nil || ctx.Err() != nil:
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w: %w", ended(ctx), err)
		}
		if bounded.Err() != nil { // err may say so too, if the last attempt took long
			return e.late(options.LockTimeout, err)
		}
	}
}

// waitForLock calls try until it reports true, the lock timeout has passed, or ctx ends.
func (e *Engine) waitForLock(ctx context.Context, options Options, try func(context.Context) (bool, error)) error {
	bounded, cancel := context.WithTimeout(ctx, options.LockTimeout)
	defer cancel()
	held := false // whether another process was seen to hold it
	for {
		locked, err := try(bounded)
		if locked {
			return nil
		}
		if bounded.Err() == nil {
			if err != nil {
				return err
			}
			if options.NoWait {
				return &LockTimeoutError{}
			}
			if !held && options.Waiting != nil {
				options.Waiting(&sqllock.HeldError{Name: Table})
			}
			held = true
			wait(bounded)
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("stopped before anything was changed: %w", ended(ctx))
		case bounded.Err() == nil:
		case held || err == nil:
			return &LockTimeoutError{Timeout: options.LockTimeout}
		default:
			return e.late(options.LockTimeout, err)
		}
	}
}

// wait waits for a moment, which is random so that processes don't try in step, or until ctx ends.
func wait(ctx context.Context) {
	timer := time.NewTimer(25*time.Millisecond + rand.N(50*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// discard closes the connection for good, so that the server releases its locks and rolls back its
// transaction.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
