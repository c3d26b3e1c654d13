package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// Up creates sqllock's tables in db, or brings them up to date. It answers nil if there is nothing to do. It waits up
// to 15 s for another process that migrates. See Migrator for what ctx does.
func Up(ctx context.Context, db *sql.DB, engine *Engine) error {
	m, err := New(db, engine, nil)
	if err == nil {
		_, err = m.Up(ctx, All)
	}
	return err
}

// Down removes sqllock's tables from db, all locks with them. It answers nil if there are none.
func Down(ctx context.Context, db *sql.DB, engine *Engine) error {
	m, err := New(db, engine, nil)
	if err == nil {
		_, err = m.Down(ctx, All)
	}
	return err
}

// Version reads the version that sqllock's tables in db are at: 0 if there are none. Dirty: see DirtyError. It
// changes nothing, and works on a read-only replica.
func Version(ctx context.Context, db *sql.DB, engine *Engine) (version uint, dirty bool, err error) {
	m, err := New(db, engine, nil)
	if err != nil {
		return 0, false, err
	}
	at, dirty, err := m.Version(ctx)
	return uint(max(at, 0)), dirty, err
}

// Options are what can be set on a Migrator; the zero value of each is a good choice.
type Options struct {
	// LockTimeout is how long to wait for another process that migrates: 15 s if zero. Negative is refused.
	LockTimeout time.Duration

	// Progress is called after each migration, and Waiting when another process is found to be migrating, and again whenever
	// that is another one: it tells who, as far as it is known. They must not call the Migrator.
	Progress func(Step)
	Waiting  func(held *sqllock.HeldError)

	// What follows is for the lock of the application's migrations; sqllock's own tables need none.

	// Lock is how it is held: lock.Auto unless said otherwise. All processes must agree on it. With lock.None there is only
	// golang-migrate's own, and none on SQLite.
	Lock lock.Kind

	// Dialect takes the lock in place of the engine's own, in the same database. Where an *sql.DB doesn't tell how it connects,
	// session locks need one that knows: mysql.New(db, mysql.WithConnector(connector)), and postgres.New likewise with a
	// driver that isn't pgx. Application knows by its URL.
	Dialect dialect.Dialect

	// LockTTL is how long the lock stays taken after a holder that isn't there any more: lock.DefaultTTL if zero. On SQLite it
	// must be longer than the longest migration takes: see lock.Options.
	LockTTL time.Duration

	// LockName names the lock. By default it is made of the version table's name, and its schema where there are schemas.
	LockName string

	// Table is where a Migrator on an *sql.DB keeps the version: golang-migrate's schema_migrations unless said otherwise.
	// Application takes it from its URL.
	Table string

	// Holder is how this process is shown to those who wait for it. Default: program@host[pid].
	Holder string

	// Locked is called when the lock is held: how, and after how long. Chosen is called when lock.Auto has chosen a lease,
	// with the reason why it isn't a session lock.
	Locked func(kind lock.Kind, waited time.Duration)
	Chosen func(kind lock.Kind, why error)

	// Logger gets what the lock logs. Default slog.Default().
	Logger *slog.Logger
}

// Step is one migration that a run applied.
type Step struct {
	File
	Down bool          // it was undone
	Took time.Duration // how long that was

	target int
}

// Source is the name of the file that was applied; empty if that way has none.
func (s Step) Source() string {
	if s.Down {
		return s.File.Down
	}
	return s.Up
}

// String is the step in golang-migrate's short form: "2/u locks".
func (s Step) String() string {
	direction, name := "u", s.Name
	if s.Down {
		direction = "d"
	}
	if s.Source() == "" {
		name = "<empty>"
	}
	return fmt.Sprintf("%d/%s %s", s.Version, direction, name)
}

// Migrator applies migrations to one database, which stays the caller's to close. Its methods block until the database
// has answered. One process alone migrates at a time: the others wait, up to LockTimeout, and then look at the version
// anew. It is safe for concurrent use.
//
// A ctx that ends stops the waiting for that lock, and stops a run between two migrations, with a StoppedError: a
// migration that has begun is waited for, however long it takes.
type Migrator struct {
	files   []File
	fsys    fs.FS
	target  target
	options Options
}

// target is a database that can be migrated.
type target interface {
	// locked calls f while no other process migrates.
	locked(ctx context.Context, options Options, f func(session) error) error

	// version reads the version; -1 is none.
	version(ctx context.Context, options Options) (at int, dirty bool, err error)

	// drop removes the tables: sqllock's own, or all there are.
	drop(s session) error

	// table is where the version is kept, if known. own tells sqllock's tables from the application's.
	table() (name string, own bool)

	// position is the engine's.
	position(err error, text string) (line, column int)
}

// session is a database with the lock held.
type session struct {
	driver database.Driver
	exec   func(query string) error // on the connection that holds the lock; nil where that isn't ours

	// savepoint: what fails can be undone, by exec. Nil: it can't.
	savepoint *Savepoint

	// check is an error when the lock can't be trusted any longer; nil where that can't happen.
	check func(ctx context.Context) error
}

// New prepares to migrate sqllock's own tables in db. It asks the database nothing. An error wraps
// dialect.ErrInvalid. A nil Options is fine.
func New(db *sql.DB, engine *Engine, options *Options) (*Migrator, error) {
	if db == nil {
		return nil, fmt.Errorf("%w: the *sql.DB is nil", dialect.ErrInvalid)
	}
	if engine == nil {
		return nil, fmt.Errorf("%w: the *migrations.Engine is nil", dialect.ErrInvalid)
	}
	return newMigrator(engine.Files, &ownTables{db: db, engine: engine}, options)
}

func newMigrator(fsys fs.FS, target target, options *Options) (*Migrator, error) {
	m := &Migrator{fsys: fsys, target: target}
	if options != nil {
		m.options = *options
	}
	switch {
	case m.options.LockTimeout < 0:
		return nil, fmt.Errorf("%w: the lock timeout %v is negative", dialect.ErrInvalid, m.options.LockTimeout)
	case m.options.LockTimeout == 0:
		m.options.LockTimeout = 15 * time.Second
	}
	var err error
	m.files, err = load(fsys)
	return m, err
}

// Files lists the migrations there are, by version.
func (m *Migrator) Files() []File { return slices.Clone(m.files) }

// Up applies the next n migrations, or All, and answers which. Having nothing to do is no error for All; for n it is a
// ShortError, after those that there were.
func (m *Migrator) Up(ctx context.Context, n int) ([]Step, error) {
	return m.steps(ctx, n, up(n))
}

// Down takes back the last n migrations, or All, and answers which, as Up does.
func (m *Migrator) Down(ctx context.Context, n int) ([]Step, error) {
	return m.steps(ctx, n, down(n))
}

func (m *Migrator) steps(ctx context.Context, n int, p plan) ([]Step, error) {
	if n < All {
		return nil, fmt.Errorf("%w: can't apply %d migrations", dialect.ErrInvalid, n)
	}
	if n == 0 {
		return nil, nil
	}
	steps, short, err := m.run(ctx, p)
	if err == nil && short > 0 {
		err = &ShortError{Asked: n, Short: short}
	}
	return steps, err
}

// Goto migrates up or down to a version, and answers the migrations that it applied.
func (m *Migrator) Goto(ctx context.Context, version uint) ([]Step, error) {
	steps, _, err := m.run(ctx, goTo(version))
	return steps, err
}

// Version reads the version that the database is at, -1 if none, and whether it is dirty. For sqllock's own tables it
// changes nothing.
func (m *Migrator) Version(ctx context.Context) (version int, dirty bool, err error) {
	return m.target.version(ctx, m.options)
}

// Force records version as the one that the database is at, and not dirty, without applying anything; -1 is none.
// For sqllock's own tables it must be a version that there is.
func (m *Migrator) Force(ctx context.Context, version int) error {
	_, own := m.target.table()
	if _, known := index(m.files, version); version < -1 || own && !known {
		return fmt.Errorf("%w: can't force version %d: there are -1 (none) and %d to %d", dialect.ErrInvalid, version,
			m.files[0].Version, m.files[len(m.files)-1].Version)
	}
	return m.target.locked(ctx, m.options, func(s session) error {
		return s.driver.SetVersion(version, false)
	})
}

// Drop removes sqllock's own tables, whatever version they are at and dirty or not, and no other table. With
// Application it removes every table of the database, as golang-migrate does.
func (m *Migrator) Drop(ctx context.Context) error {
	err := m.target.locked(ctx, m.options, m.target.drop)
	if query, ok := errors.AsType[*database.Error](err); ok {
		return fmt.Errorf("%w (%s)", query.OrigErr, query.Query)
	}
	return err
}
