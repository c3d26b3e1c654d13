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

// Up creates sqllock's tables in db, or brings them up to date. It returns nil if there is nothing
// to do. That includes tables that a newer release has migrated to a version that this release may
// use. It waits up to 15 s for another process that migrates. For the effects of ctx see
// [Migrator].
func Up(ctx context.Context, db *sql.DB, engine *Engine) error {
	m, err := New(db, engine, nil)
	if err == nil {
		_, err = m.Up(ctx, All)
	}
	return err
}

// Down drops sqllock's tables from db, and with them all locks. It returns nil if there are none.
func Down(ctx context.Context, db *sql.DB, engine *Engine) error {
	m, err := New(db, engine, nil)
	if err == nil {
		_, err = m.Down(ctx, All)
	}
	return err
}

// Version returns the version of sqllock's tables in db, or 0 if there are none. For dirty see
// [DirtyError]. Version changes nothing and works on a read-only replica.
func Version(ctx context.Context, db *sql.DB, engine *Engine) (version uint, dirty bool, err error) {
	m, err := New(db, engine, nil)
	if err != nil {
		return 0, false, err
	}
	at, dirty, err := m.Version(ctx)
	return uint(max(at, 0)), dirty, err
}

// Options are the options of a [Migrator]. The zero value of each field is a good choice.
type Options struct {
	// LockTimeout bounds the wait for another process that migrates. Zero means 15 s. It must not
	// be negative.
	LockTimeout time.Duration

	// NoWait makes a single attempt to take the lock. LockTimeout then only bounds how long the
	// database may take to respond.
	NoWait bool

	// StopTimeout is how long the migration under way may continue after ctx has ended. Zero means
	// [DefaultStopTimeout]. It must not be negative.
	StopTimeout time.Duration

	// Applying is called before each migration and Progress after it. Waiting is called when
	// another process is migrating, and again when a different process is; held names that process
	// as far as it is known. None of them may call the Migrator.
	Applying func(Step)
	Progress func(Step)
	Waiting  func(held *sqllock.HeldError)

	// Running is called every ten seconds, or as often as Every says, while a migration is under
	// way. since is how long it has been running. waitsFor is the lock of another session that it
	// waits for. It is empty if it waits for none, or if that can't be seen (it can on PostgreSQL,
	// MySQL and MariaDB).
	Running func(step Step, since time.Duration, waitsFor string)
	Every   time.Duration

	// The options below are for the lock of the application's migrations. sqllock's own tables need
	// none of them.

	// Lock is the kind of lock; lock.Auto by default. All processes must agree on it. With
	// lock.None there is only golang-migrate's own lock, and none at all on SQLite.
	Lock lock.Kind

	// Dialect takes the lock instead of the engine's own dialect, in the same database. It is
	// needed for session locks if sqllock can't see how the *sql.DB connects: use mysql.New(db,
	// mysql.WithConnector(connector)), or postgres.New in the same way with a driver other than
	// pgx. [Application] connects with its URL and needs no Dialect.
	Dialect dialect.Dialect

	// LockTTL is how long the lock of a dead holder stays taken. Zero means lock.DefaultTTL. On
	// SQLite it must be longer than the longest migration: see lock.Options.
	LockTTL time.Duration

	// LockName is the lock's name. By default it consists of the version table's schema, if there
	// are schemas, and name.
	LockName string

	// Table is the version table of a Migrator on an *sql.DB; golang-migrate's schema_migrations by
	// default. [Application] takes it from its URL.
	Table string

	// AllowMissing makes Up and Goto apply late migrations as well, before all others. Without it
	// late migrations are a [LateError].
	AllowMissing bool

	// Holder is the name by which waiting processes see this one. The default is program@host[pid].
	Holder string

	// Locked is called when the lock is held, with the kind of lock and the time waited. Chosen is
	// called when lock.Auto has chosen a lease, with the reason why a session lock can't be used.
	Locked func(kind lock.Kind, waited time.Duration)
	Chosen func(kind lock.Kind, why error)

	// Logger receives the log messages of the lock; slog.Default() by default.
	Logger *slog.Logger
}

// Step is one migration that a run applied.
type Step struct {
	File
	Down bool          // whether it was undone
	Took time.Duration // how long it took

	// Late reports whether a later migration had been applied before: see Options.AllowMissing.
	Late bool

	target int
}

// Source returns the name of the file that was applied. It is empty if there is no file for that
// direction.
func (s Step) Source() string { return s.File.source(s.Down) }

// String returns the step in golang-migrate's short form, such as "2/u locks".
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

// Migrator applies migrations to one database. It does not close the database. It is safe for
// concurrent use.
//
// Its methods block until the database has responded. Only one process migrates at a time; the
// others wait up to Options.LockTimeout and then read the version again.
//
// When ctx ends, the wait for the lock ends. A run stops with a [StoppedError]: the migration under
// way may continue for Options.StopTimeout, then its statement is canceled in the server, and what
// can be undone is undone. The run ends within StopTimeout plus five seconds, whatever the
// statement does and whether or not the database responds.
type Migrator struct {
	files   []File
	fsys    fs.FS
	target  target
	options Options
}

// target is a database that can be migrated.
type target interface {
	// locked calls f while no other process migrates.
	locked(s *stop, options Options, f func(session) error) error

	// inspect reads the version. With withHistory it also reads the history, if there is one.
	inspect(ctx context.Context, options Options, withHistory bool) (seen, error)

	// drop drops sqllock's own tables, or all tables of the application's database.
	drop(s session) error

	// own reports whether the tables are sqllock's own.
	own() bool

	// position and hint are those of the engine.
	position(err error, text string) (line, column int)
	hint(s session, err error, text string) string
}

// seen is what was read from a database.
type seen struct {
	version int // -1 means none
	dirty   bool
	records []Record
	history string // the table that contains records; empty if there is none
}

// New returns a [Migrator] for sqllock's own tables in db. It sends nothing to the database. Its
// errors wrap [dialect.ErrInvalid]. options may be nil.
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
	case m.options.StopTimeout < 0:
		return nil, fmt.Errorf("%w: the stop timeout %v is negative", dialect.ErrInvalid, m.options.StopTimeout)
	case m.options.LockTimeout == 0:
		m.options.LockTimeout = 15 * time.Second
	}
	if m.options.StopTimeout == 0 {
		m.options.StopTimeout = DefaultStopTimeout
	}
	var err error
	m.files, err = load(fsys)
	return m, err
}

// Files returns the migrations, by version.
func (m *Migrator) Files() []File { return slices.Clone(m.files) }

// File returns the migration of a version and reports whether version is known. Version -1, an
// empty database, is known and has no migration.
func (m *Migrator) File(version int) (f File, known bool) {
	i, known := index(m.files, version)
	if !known || i < 0 {
		return f, known
	}
	return m.files[i], true
}

// Up applies the next n migrations, or all if n is [All], and returns the applied steps.
//
// If there are fewer than n, Up applies those and returns a [ShortError]. With All it is no error
// if there is nothing to do, or if a newer release has already migrated sqllock's own tables to a
// version that this release may use.
func (m *Migrator) Up(ctx context.Context, n int) ([]Step, error) {
	steps, err := m.steps(ctx, n, up(n, m.options.AllowMissing))
	own, ours := m.target.(*ownTables)
	newer, unknown := errors.AsType[*UnknownVersionError](err)
	if !ours || !unknown || n != All || newer.Version <= newer.Latest {
		return steps, err
	}
	from, failed := own.compatibleFrom(ctx)
	switch {
	case failed != nil:
		return steps, errors.Join(err, failed)
	case from > 0 && from <= newer.Latest:
		return steps, nil
	}
	return steps, err
}

// Down undoes the last n migrations, or all if n is [All], and returns the applied steps. It
// returns a [ShortError] if there are fewer than n.
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

// Redo undoes the last n migrations, applies them again from the current files, and returns the
// steps in both directions. It returns an error and changes nothing if one of them has no down
// file.
func (m *Migrator) Redo(ctx context.Context, n int) ([]Step, error) {
	return m.steps(ctx, n, redo(n))
}

// Goto migrates up or down to a version and returns the applied steps.
func (m *Migrator) Goto(ctx context.Context, version uint) ([]Step, error) {
	steps, _, err := m.run(ctx, goTo(version, m.options.AllowMissing))
	return steps, err
}

// Version returns the version that the database is at, or -1 if none, and whether it is dirty. For
// sqllock's own tables it changes nothing.
func (m *Migrator) Version(ctx context.Context) (version int, dirty bool, err error) {
	seen, err := m.target.inspect(ctx, m.options, false)
	if err == nil {
		err = m.checkVersion(seen.version)
	}
	return seen.version, seen.dirty, err
}

// Force records version as the database's version, and as not dirty, without applying anything; -1
// means none. For sqllock's own tables there must be a migration of that version.
func (m *Migrator) Force(ctx context.Context, version int) error {
	if _, known := index(m.files, version); version < -1 || m.target.own() && !known {
		return fmt.Errorf("%w: can't force version %d: there are -1 (none) and %d to %d", dialect.ErrInvalid, version,
			m.files[0].Version, m.files[len(m.files)-1].Version)
	}
	return m.locked(ctx, func(s session) error {
		before, _ := m.readState(s) // an unreadable state is what Force repairs
		if d, ok := s.driver.(*strict); ok {
			if err := d.oneRow(); err != nil {
				return err
			}
		}
		if err := s.driver.SetVersion(version, false); err != nil {
			return err
		}
		return m.declare(s, version, before)
	}, func() error { return silent(ctx) })
}

// declare records which migrations count as applied, or not applied, after version was forced.
// before is the earlier state, or nil if it is unknown.
func (m *Migrator) declare(s session, version int, before *state) error {
	if s.ledger == nil {
		return nil
	}
	records, err := s.ledger.records(s.stop.work)
	if err != nil {
		return err
	}
	var others []Record
	if before != nil && !before.dirty {
		others = before.others
	}
	after, err := m.state(version, false, slices.Concat(records, others))
	if err != nil {
		return err
	}
	for _, r := range after.others {
		r.How = HowForced
		others = append(others, r)
	}
	if len(others) == 0 {
		return nil
	}
	return s.ledger.write(s.stop.work, others...)
}

// Repair accepts the files as they are. Files that were edited after they were applied count as
// what was applied, and late migrations count as applied. Repair returns the records of these. It
// changes only the history.
func (m *Migrator) Repair(ctx context.Context) (repaired []Record, err error) {
	if m.target.own() {
		return nil, fmt.Errorf("%w: sqllock's own tables have no history", dialect.ErrUnsupported)
	}
	err = m.locked(ctx, func(s session) error {
		state, err := m.readState(s)
		if err != nil {
			return err
		}
		if state.dirty {
			return m.dirty(state.at, state.late()...)
		}
		repaired = state.repairs()
		if len(repaired) == 0 {
			return nil
		}
		return s.ledger.write(s.stop.work, append(state.others, repaired...)...)
	}, func() error { return silent(ctx) })
	if err != nil {
		return nil, err
	}
	return repaired, nil
}

// readState reads the state of the database. The caller holds the lock.
func (m *Migrator) readState(s session) (*state, error) {
	at, dirty, err := s.driver.Version()
	if err != nil {
		return nil, err
	}
	records, err := s.ledger.records(s.stop.work)
	if err != nil {
		return nil, err
	}
	return m.state(at, dirty, records)
}

func (m *Migrator) state(at int, dirty bool, records []Record) (*state, error) {
	if err := m.checkVersion(at); err != nil {
		return nil, err
	}
	sums, err := checksums(m.fsys, m.files)
	if err != nil {
		return nil, err
	}
	return newState(m.files, sums, at, dirty, records), nil
}

// Drop drops sqllock's own tables, at any version and dirty or not, and no other tables. For the
// Migrator of [Application] or [NewApplication] it drops every table of the database, as
// golang-migrate does. Where DDL can be rolled back it drops all of them or none.
func (m *Migrator) Drop(ctx context.Context) error {
	drop := func(s session) error { return m.dropTogether(s, func() error { return m.target.drop(s) }) }
	err := m.locked(ctx, drop, func() error { return silent(ctx) })
	if query, ok := errors.AsType[*database.Error](err); ok {
		return fmt.Errorf("%w (%s)", query.OrigErr, query.Query)
	}
	return err
}
