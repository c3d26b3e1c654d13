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

// ownTables is the target for sqllock's own tables, on a connection borrowed from the caller's pool.
type ownTables struct {
	db     *sql.DB
	engine *Engine
}

func (t *ownTables) table() (string, bool) { return Table, true }

func (t *ownTables) position(err error, text string) (line, column int) {
	return t.engine.Position(err, text)
}

func (t *ownTables) locked(ctx context.Context, options Options, f func(session) error) (err error) {
	conn, err := connect(ctx, t.db)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	try := func(ctx context.Context) (bool, error) { return t.engine.TryLock(ctx, conn, Table) }
	if err := waitForLock(ctx, options, try); err != nil {
		discard(conn) // a transaction may be open in it
		return err
	}
	err = borrow(conn, terms{savepoint: t.engine.savepoint()}, func(db *sql.DB, exec func(string) error) error {
		driver, err := t.engine.Driver(db, Table)
		if err != nil {
			return err
		}
		return errors.Join(
			f(session{driver: driver, exec: exec, savepoint: t.engine.savepoint()}),
			driver.Close(),
		)
	})
	if _, all := errors.AsType[*undoneError](err); all {
		discard(conn) // which rolls back what is left of the transaction
		return err
	}
	return errors.Join(err, t.unlock(ctx, conn))
}

// unlock ends the run also when ctx has ended. What it can't unlock goes with its connection.
func (t *ownTables) unlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := t.engine.Unlock(ctx, conn, Table); err != nil {
		discard(conn)
		return fmt.Errorf("can't end the migration, look at the version before anything else: %w", err)
	}
	return nil
}

func (t *ownTables) version(ctx context.Context, _ Options) (at int, dirty bool, err error) {
	conn, err := connect(ctx, t.db)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = conn.Close() }()
	var tables int
	if err := conn.QueryRowContext(ctx, t.engine.HasTable, Table).Scan(&tables); err != nil {
		return 0, false, err
	}
	if tables == 0 {
		return database.NilVersion, false, nil
	}
	err = conn.QueryRowContext(ctx, "SELECT version, dirty FROM "+Table).Scan(&at, &dirty)
	if errors.Is(err, sql.ErrNoRows) {
		return database.NilVersion, false, nil
	}
	return at, dirty, err
}

func (t *ownTables) drop(s session) error {
	tables, err := t.engine.tables()
	if err != nil {
		return err
	}
	for _, table := range append(tables, Table) {
		if err := s.exec("DROP TABLE IF EXISTS " + table); err != nil {
			return fmt.Errorf("can't drop %s: %w", table, err)
		}
	}
	return nil
}

// connect takes a connection that answers. Idle ones in the pool may be dead, all of them after a restart of the server.
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

// waitForLock tries until it has the lock, the lock timeout has passed, or ctx ends.
func waitForLock(ctx context.Context, options Options, try func(context.Context) (bool, error)) error {
	bounded, cancel := context.WithTimeout(ctx, options.LockTimeout)
	defer cancel()
	for first := true; ; first = false {
		locked, err := try(bounded)
		if locked {
			return nil
		}
		if bounded.Err() == nil {
			if err != nil {
				return err
			}
			if first && options.Waiting != nil {
				options.Waiting(&sqllock.HeldError{Name: Table})
			}
			wait(bounded)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before anything was changed: %w", ended(ctx))
		}
		if bounded.Err() != nil {
			return &LockTimeoutError{Timeout: options.LockTimeout}
		}
	}
}

// wait pauses for a moment that differs from one process to the next, or until ctx ends.
func wait(ctx context.Context) {
	pause := time.NewTimer(25*time.Millisecond + rand.N(50*time.Millisecond))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// discard closes the connection for good, and with it the locks and the transaction that it holds.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
