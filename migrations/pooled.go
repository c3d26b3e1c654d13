package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/sqllock/sqllock/migrations/lock"
)

// pooled is the target for the application's tables. golang-migrate's driver works on a connection
// of the pool, through a sharedConn that replaces the statements of its lock.
type pooled struct{ appDatabase }

func (t *pooled) own() bool { return false }

func (t *pooled) position(err error, text string) (line, column int) {
	return t.engine.Position(err, text)
}

func (t *pooled) hint(s session, err error, text string) string { return t.engine.hint(s, err, text) }

func (t *pooled) drop(s session) error {
	if err := t.dropOwnViews(s); err != nil {
		return err
	}
	query := t.engine.Drop.Tables
	if query == "" {
		return s.driver.Drop()
	}
	tables, err := s.sharedConn.query(s.stop.work, query, math.MaxInt)
	if err != nil {
		return err
	}
	for _, row := range tables {
		// Dropping another table may have dropped this one, as with those of a virtual table.
		if err := s.sharedConn.exec(s.stop.work, "DROP TABLE IF EXISTS "+valueText(row[0])); err != nil {
			return fmt.Errorf("can't drop %s: %w", valueText(row[0]), err)
		}
	}
	return nil
}

// dropOwnViews drops sqllock's views. Without their tables they would make ALTER TABLE fail on
// SQLite, and mysqldump. Views of the application are left to it, as golang-migrate leaves them.
func (t *pooled) dropOwnViews(s session) error {
	all, err := t.engine.tables()
	if err != nil {
		return err
	}
	for _, view := range all {
		if view.kind == "VIEW" {
			if err := s.sharedConn.exec(s.stop.work, "DROP VIEW IF EXISTS "+view.name); err != nil {
				return fmt.Errorf("can't drop %s: %w", view.name, err)
			}
		}
	}
	return nil
}

// inspect doesn't wait for another process that migrates.
func (t *pooled) inspect(ctx context.Context, options Options, withHistory bool) (s seen, err error) {
	read := func(driver *strict) error {
		s = seen{}
		if s.version, s.dirty, err = driver.Version(); err != nil || !withHistory {
			return err
		}
		ledger, err := openLedger(ctx, driver.sharedConn, t.engine, t.driver, options.Holder)
		if err != nil {
			return err
		}
		if ledger.kept {
			s.history = ledger.String()
		}
		s.records, err = ledger.records(ctx)
		return err
	}
	config := sharedConfig{engine: t.engine, until: ctx, lock: t.engine.Statements, noLock: true}
	err = t.on(ctx, options, config, read)
	if err != nil && ctx.Err() == nil {
		// Without its lock the driver may fail if another process creates the version table at the
		// same moment.
		config.noLock = false
		err = t.on(ctx, options, config, read)
	}
	return s, err
}

func (t *pooled) locked(s *stop, options Options, f func(session) error) error {
	// If our own lock had to be a lease, the server's sessions can't be trusted, and
	// golang-migrate's lock can't either.
	skip := t.engine.Statements.Session && options.Lock == lock.Lease
	config := sharedConfig{engine: t.engine, until: s.work, lock: t.engine.Statements, noLock: skip}
	return t.on(s.asked, options, config, func(driver *strict) error {
		sharedConn := driver.sharedConn
		if err := driver.Lock(); err != nil {
			return err
		}
		refused, apart := t.engine.Transaction.Refused, ""
		if t.settings != nil {
			apart = t.settings.Apart
			if t.settings.Refused != nil {
				refused = t.settings.Refused
			}
		}
		if err := sharedConn.identify(); err != nil {
			return err
		}
		ledger, err := openLedger(s.work, sharedConn, t.engine, t.driver, options.Holder)
		if err == nil {
			err = f(session{
				driver: driver, sharedConn: sharedConn, ledger: ledger, stop: s,
				refused: refused, apart: apart,
			})
		}
		sharedConn.until = s.tidy
		unlocked := driver.Unlock()
		if s.work.Err() != nil {
			unlocked = nil // the lock ends with the connection
		}
		return errors.Join(err, unlocked)
	})
}

// on opens golang-migrate's driver on a connection and calls f. If either fails because
// golang-migrate's lock is held, which then is by a process that doesn't use sqllock, on tries both
// again. f must not have done anything in that case.
func (t *pooled) on(ctx context.Context, options Options, config sharedConfig, f func(*strict) error) error {
	db, closePool, err := t.pool()
	if err != nil {
		return err
	}
	defer func() { _ = closePool() }()
	var conn *sql.Conn
	err = t.engine.whenFree(ctx, options, func(ctx context.Context) (err error) {
		conn, err = t.engine.connect(ctx, db)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer discard(conn) // migrations may have changed the session's settings
	config.beside = db
	if t.engine.Wait != nil {
		if err := t.engine.Wait(ctx, conn, options.LockTimeout); err != nil {
			return err
		}
	}
	var result error
	begun := false
	busy := func(err error) bool { // the file may be locked for longer than SQLite itself waits
		return t.engine.Transaction.Busy != nil && t.engine.Transaction.Busy(Cause(err))
	}
	err = t.engine.waitForLock(ctx, options, func(context.Context) (bool, error) {
		result = withConn(conn, config, func(db *sql.DB, sharedConn *sharedConn) error {
			driver, table, err := t.driver.New(db)
			if err != nil {
				return t.unprepared(err)
			}
			begun = true
			return errors.Join(f(&strict{driver, sharedConn, table}), driver.Close())
		})
		return !t.engine.Statements.isLocked(result) && (begun || !busy(result)), nil
	})
	if err != nil {
		return err
	}
	return result
}

// unprepared returns the error for a driver that couldn't create its version table.
func (t *pooled) unprepared(err error) error {
	if t.engine.Statements.isLocked(err) {
		return err
	}
	query, _, cause := databaseError(err)
	if query != "" {
		query = " (" + query + ")"
	}
	return fmt.Errorf("can't prepare the version table: %w%s", cause, query)
}
