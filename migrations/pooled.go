package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
)

// pooled is the target for the application's tables on a connection of a pool, on which golang-migrate's driver does what we
// want about its lock.
type pooled struct {
	place
	files     []File
	fsys      fs.FS
	newDriver func(*sql.DB) (database.Driver, error)
}

func (t *pooled) table() (string, bool) { return "", false }

func (t *pooled) position(err error, text string) (line, column int) {
	return t.engine.Position(err, text)
}

func (t *pooled) drop(s session) error { return s.driver.Drop() }

// version doesn't wait for who migrates.
func (t *pooled) version(ctx context.Context, options Options) (at int, dirty bool, err error) {
	read := func(driver database.Driver) (err error) {
		at, dirty, err = driver.Version()
		return err
	}
	err = t.on(ctx, options, terms{lock: t.engine.Statements, noLock: true}, read)
	if err != nil && ctx.Err() == nil {
		// Without its lock the driver may fail where another makes the version table at the same moment.
		err = t.on(ctx, options, terms{lock: t.engine.Statements}, read)
	}
	return at, dirty, err
}

func (t *pooled) locked(ctx context.Context, options Options, f func(session) error) error {
	// Where our own lock had to be a lease, the server's sessions can't be trusted, and so neither can golang-migrate's lock.
	skip := t.engine.Statements.Session && options.Lock == lock.Lease
	return t.on(ctx, options, terms{lock: t.engine.Statements, noLock: skip}, func(driver database.Driver) error {
		if err := driver.Lock(); err != nil {
			return err
		}
		return errors.Join(f(session{driver: driver}), driver.Unlock())
	})
}

// on opens golang-migrate's driver on a connection and calls f. Where either finds golang-migrate's lock held, by a process
// that isn't ours then, both are tried again: f must have done nothing.
func (t *pooled) on(ctx context.Context, options Options, terms terms, f func(database.Driver) error) error {
	place, err := t.open(options)
	if err != nil {
		return err
	}
	defer func() { _ = place.close() }()
	conn, err := connect(ctx, place.db)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer discard(conn) // migrations may have changed the session's settings
	if err := t.takesFiles(ctx, conn); err != nil {
		return err
	}
	var result error
	err = waitForLock(ctx, options, func(context.Context) (bool, error) {
		result = borrow(conn, terms, func(db *sql.DB, _ func(string) error) error {
			driver, err := t.newDriver(db)
			if err != nil {
				return t.unprepared(err)
			}
			return errors.Join(f(driver), driver.Close())
		})
		return !t.engine.Statements.isLocked(result), nil
	})
	if err != nil {
		return err
	}
	return result
}

// unprepared is the error for a driver that couldn't make its version table.
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

// takesFiles refuses a pool that can't send a file of several statements: that would fail after the first, in a version that
// is dirty then.
func (t *pooled) takesFiles(ctx context.Context, conn *sql.Conn) error {
	if t.engine.Several == "" {
		return nil
	}
	for _, f := range t.files {
		for _, name := range []string{f.Up, f.Down} {
			if name == "" {
				continue
			}
			text, err := fs.ReadFile(t.fsys, name)
			if err != nil {
				return err
			}
			if !strings.Contains(strings.TrimRight(string(text), "; \t\r\n"), ";") {
				continue
			}
			if _, err := conn.ExecContext(ctx, t.engine.Several); err != nil {
				return fmt.Errorf("%w: %s has several statements, and this *sql.DB doesn't take more than one at a time: for "+
					"go-sql-driver add multiStatements=true to the data source name (%w)", dialect.ErrInvalid, name, err)
			}
			return nil
		}
	}
	return nil
}
