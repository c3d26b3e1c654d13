package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
)

var engine = sqlitemigrations.Engine

// open returns a new connection pool on a database file.
func open(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sqlite.Open("sqlite://" + file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "a.db") }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tables returns the names of the tables and views in the database.
func tables(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
	must(t, err)
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		names = append(names, name)
	}
	must(t, rows.Err())
	return strings.Join(names, " ")
}

func wantVersion(t *testing.T, db *sql.DB, want uint, wantDirty bool) {
	t.Helper()
	version, dirty, err := migrations.Version(context.Background(), db, engine)
	must(t, err)
	if version != want || dirty != wantDirty {
		t.Errorf("version %d, dirty %v; want %d, %v", version, dirty, want, wantDirty)
	}
}

func TestUpDownUp(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	wantVersion(t, db, 0, false)
	if got := tables(t, db); got != "" {
		t.Errorf("reading the version created %s", got)
	}
	for range 2 {
		must(t, migrations.Up(ctx, db, engine))
		must(t, migrations.Up(ctx, db, engine)) // nothing to do
		wantVersion(t, db, engine.Latest(), false)
		const want = "sqllock_breaks sqllock_held sqllock_leases sqllock_locks sqllock_outcomes sqllock_schema " +
			"sqllock_schema_migrations sqllock_waiters"
		if got := tables(t, db); got != want {
			t.Errorf("tables are %s, want %s", got, want)
		}
		must(t, migrations.Down(ctx, db, engine))
		must(t, migrations.Down(ctx, db, engine))
		wantVersion(t, db, 0, false)
		if got, want := tables(t, db), "sqllock_schema_migrations"; got != want {
			t.Errorf("tables are %s, want %s", got, want)
		}
	}
	must(t, db.Ping()) // golang-migrate would have closed it
	if stats := db.Stats(); stats.InUse != 0 {
		t.Errorf("%d connections weren't returned to the pool", stats.InUse)
	}
}

func TestUpNeedsOneConnectionOnly(t *testing.T) {
	db := open(t, newFile(t))
	db.SetMaxOpenConns(1)
	must(t, migrations.Up(context.Background(), db, engine))
	wantVersion(t, db, engine.Latest(), false)
}

func TestUpAtOnce(t *testing.T) {
	file := newFile(t)
	var applied sync.Map
	var group sync.WaitGroup
	for range 16 {
		db := open(t, file)
		group.Go(func() {
			m, err := migrations.New(db, engine, nil)
			if err != nil {
				t.Error(err)
				return
			}
			steps, err := m.Up(context.Background(), migrations.All)
			if err != nil {
				t.Error(err)
			}
			for _, step := range steps {
				if _, twice := applied.LoadOrStore(step.Version, true); twice {
					t.Errorf("%v was applied twice", step)
				}
			}
		})
	}
	group.Wait()
	wantVersion(t, open(t, file), engine.Latest(), false)
}

func TestSteps(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	var progress []string
	m, err := migrations.New(db, engine, &migrations.Options{
		Progress: func(s migrations.Step) { progress = append(progress, s.String()+" "+s.Source()) },
	})
	must(t, err)
	var short *migrations.ShortError
	steps, err := m.Up(ctx, 1)
	must(t, err)
	if len(steps) != 1 {
		t.Errorf("applied %v, want one", steps)
	}
	if _, err := m.Up(ctx, 9); !errors.As(err, &short) || short.Short != 2 {
		t.Errorf("9 more of 7: %v", err)
	}
	_, err = m.Up(ctx, 0)
	must(t, err)
	_, err = m.Goto(ctx, 1)
	must(t, err)
	_, err = m.Goto(ctx, 1)
	must(t, err)
	if _, err := m.Down(ctx, 3); !errors.As(err, &short) || short.Short != 2 {
		t.Errorf("3 down of 1: %v", err)
	}
	want := []string{
		"1/u leases 0001_leases.up.sql", "2/u locks 0002_locks.up.sql", "3/u waiters 0003_waiters.up.sql",
		"4/u outcomes 0004_outcomes.up.sql", "5/u schema 0005_schema.up.sql", "6/u compatible 0006_compatible.up.sql",
		"7/u breaks 0007_breaks.up.sql", "8/u held 0008_held.up.sql", "8/d held 0008_held.down.sql",
		"7/d breaks 0007_breaks.down.sql",
		"6/d compatible 0006_compatible.down.sql", "5/d schema 0005_schema.down.sql",
		"4/d outcomes 0004_outcomes.down.sql",
		"3/d waiters 0003_waiters.down.sql", "2/d locks 0002_locks.down.sql", "1/d leases 0001_leases.down.sql",
	}
	if !slices.Equal(progress, want) {
		t.Errorf("applied %q, want %q", progress, want)
	}
}

func TestStopsBetweenMigrations(t *testing.T) {
	db := open(t, newFile(t))
	ctx, cancel := context.WithCancel(context.Background())
	m, err := migrations.New(db, engine, &migrations.Options{Progress: func(migrations.Step) { cancel() }})
	must(t, err)
	_, err = m.Up(ctx, migrations.All)
	var stopped *migrations.StoppedError
	if !errors.As(err, &stopped) || stopped.Version != 1 || stopped.Remaining != 7 || !stopped.Own ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	wantVersion(t, db, 1, false)
	must(t, migrations.Up(context.Background(), db, engine))
	wantVersion(t, db, engine.Latest(), false)
}

func TestWaitsForTheLock(t *testing.T) {
	file := newFile(t)
	holder, db := open(t, file), open(t, file)
	tx, err := holder.Begin()
	must(t, err)
	defer func() { _ = tx.Rollback() }()

	m, err := migrations.New(db, engine, &migrations.Options{LockTimeout: 100 * time.Millisecond})
	must(t, err)
	begun := time.Now()
	_, err = m.Up(context.Background(), migrations.All)
	var timeout *migrations.LockTimeoutError
	if !errors.As(err, &timeout) || !errors.Is(err, migrate.ErrLockTimeout) {
		t.Errorf("with the lock held: %v", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a lock timeout of 100ms took %v", took)
	}

	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errors.New("changed my mind"))
	defer cancel()
	if err := migrations.Up(ctx, db, engine); err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("cancelled: %v", err)
	}

	must(t, tx.Rollback())
	must(t, migrations.Up(context.Background(), db, engine))
}

func TestDirty(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	must(t, migrations.Up(ctx, db, engine))
	_, err := db.Exec("UPDATE sqllock_schema_migrations SET version = 1, dirty = true")
	must(t, err)
	wantVersion(t, db, 1, true)
	err = migrations.Up(ctx, db, engine)
	var dirty *migrations.DirtyError
	var theirs migrate.ErrDirty
	if !errors.As(err, &dirty) || dirty.Version != 1 || !errors.As(err, &theirs) || theirs.Version != 1 {
		t.Fatalf("dirty: %v", err)
	}
	for _, part := range []string{
		"dirty at version 1", "0001_leases.up.sql or 0002_locks.down.sql", "force 1", "`sqllock-migrate own force`",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q doesn't contain %q", err, part)
		}
	}
	m, err := migrations.New(db, engine, nil)
	must(t, err)
	must(t, m.Force(ctx, int(engine.Latest())))
	must(t, migrations.Up(ctx, db, engine))
	for _, version := range []int{-2, int(engine.Latest()) + 1} {
		if err := m.Force(ctx, version); !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("force %d: %v", version, err)
		}
	}
}

func TestFailedMigrationIsUndone(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	broken := *engine
	broken.Files = fstest.MapFS{
		"1_good.up.sql": {Data: []byte("CREATE TABLE sqllock_good (n INTEGER);")},
		"2_broken.up.sql": {Data: []byte(
			"CREATE TABLE sqllock_half (n INTEGER);\n\n\tCREATE TABEL sqllock_other (n INTEGER);\n")},
		"3_never.up.sql": {Data: []byte("CREATE TABLE sqllock_never (n INTEGER);")},
	}
	db, err := sqlite.Open("sqlite://" + newFile(t))
	must(t, err)
	defer func() { _ = db.Close() }()
	err = migrations.Up(context.Background(), db, &broken)
	var refused *migrations.StatementError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	if refused.File != "2_broken.up.sql" || refused.Line != 3 || refused.Column != 9 || refused.Version != 1 ||
		refused.Dirty || !refused.Own {
		t.Errorf("%+v", refused)
	}
	for _, part := range []string{"2_broken.up.sql:3:9: ", "syntax error", "CREATE TABEL", "\t       ^", "version 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\ndoesn't contain %q", err, part)
		}
	}
	wantVersion(t, db, 1, false)
	if got, want := tables(t, db), "sqllock_good sqllock_schema_migrations"; got != want {
		t.Errorf("tables are %s, want %s", got, want)
	}
}

// A migration can't be undone alone: because the server has rolled back the whole transaction, as
// SQL Server does after some errors, or for another reason. The whole run is then undone, and the
// error says so.
func TestFailedMigrationUndoesTheRun(t *testing.T) {
	for what, undo := range map[string]string{
		"the transaction is over": "ROLLBACK; ROLLBACK TO SAVEPOINT %s", "it goes on": "ROLLBACK TO SAVEPOINT not_%s",
	} {
		t.Run(what, func(t *testing.T) {
			broken := *engine
			broken.Savepoint = migrations.Savepoint{Set: "SAVEPOINT %s", Undo: undo, Release: "RELEASE SAVEPOINT %s"}
			broken.Files = fstest.MapFS{
				"1_good.up.sql":   {Data: []byte("CREATE TABLE sqllock_good (n INTEGER);")},
				"2_better.up.sql": {Data: []byte("CREATE TABLE sqllock_better (n INTEGER);")},
				"3_broken.up.sql": {Data: []byte(
					"CREATE TABLE sqllock_half (n INTEGER); CREATE TABEL sqllock_other (n INTEGER);")},
			}
			db := open(t, newFile(t))
			m, err := migrations.New(db, &broken, nil)
			must(t, err)
			wantUndone := func(version int, part string) {
				t.Helper()
				done, err := m.Up(t.Context(), migrations.All)
				refused, ok := errors.AsType[*migrations.StatementError](err)
				if !ok || refused.File != "3_broken.up.sql" || refused.Version != version || !refused.All ||
					refused.Dirty || len(done) != 0 {
					t.Errorf("%v, %+v", done, err)
				}
				for _, part := range []string{part, "undone alone", "savepoint"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v\ndoesn't contain %q", err, part)
					}
				}
			}
			wantUndone(-1, "All of this run was undone, and the database is empty as it was")
			if got := tables(t, db); got != "" {
				t.Errorf("tables are %s, want none", got)
			}
			_, err = m.Up(t.Context(), 1)
			must(t, err)
			wantUndone(1, "All of this run was undone, and the database is at version 1")
			wantVersion(t, db, 1, false)
			if got, want := tables(t, db), "sqllock_good sqllock_schema_migrations"; got != want {
				t.Errorf("tables are %s, want %s", got, want)
			}
		})
	}
}

// If the version can't be recorded, the migration isn't begun, and nothing is left behind.
func TestVersionTableRefuses(t *testing.T) {
	// golang-migrate doesn't end its transaction if DELETE fails, which leaves a goroutine.
	for _, event := range []string{"DELETE", "INSERT"} {
		ctx, db := context.Background(), open(t, newFile(t))
		m, err := migrations.New(db, engine, nil)
		must(t, err)
		_, err = m.Up(ctx, 1)
		must(t, err)
		before := goleak.IgnoreCurrent()
		_, err = db.ExecContext(ctx,
			"CREATE TRIGGER refuse BEFORE "+event+" ON sqllock_schema_migrations "+
				"BEGIN SELECT RAISE(ABORT, 'not today'); END")
		must(t, err)
		if err := migrations.Up(ctx, db, engine); err == nil || !strings.Contains(err.Error(), "not today") {
			t.Errorf("%s refused: %v", event, err)
		}
		_, err = db.ExecContext(ctx, "DROP TRIGGER refuse")
		must(t, err)
		wantVersion(t, db, 1, false)
		must(t, migrations.Up(ctx, db, engine))
		if event == "INSERT" {
			goleak.VerifyNone(t, before)
		}
	}
}

func TestNewerDatabase(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	must(t, migrations.Up(ctx, db, engine))
	_, err := db.Exec("UPDATE sqllock_schema_migrations SET version = 99; DELETE FROM sqllock_schema")
	must(t, err)
	var unknown *migrations.UnknownVersionError
	if err := migrations.Up(ctx, db, engine); !errors.As(err, &unknown) || unknown.Version != 99 ||
		unknown.Latest != engine.Latest() {
		t.Errorf("at 99: %v", err)
	}
	wantVersion(t, db, 99, false)
	m, err := migrations.New(db, engine, nil)
	must(t, err)
	if _, err := m.Goto(ctx, 77); !errors.As(err, &unknown) {
		t.Errorf("goto 77: %v", err)
	}
}

// Tables that a newer release has migrated are used if they say so, and left unchanged in any case.
func TestNewerDatabaseThatIsCompatible(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	must(t, migrations.Up(ctx, db, engine))
	m, err := migrations.New(db, engine, nil)
	must(t, err)
	exec := func(statement string, args ...any) {
		t.Helper()
		_, err := db.Exec(statement, args...)
		must(t, err)
	}
	exec("UPDATE sqllock_schema_migrations SET version = 99")
	before := tables(t, db)
	for from, serves := range map[uint]bool{
		0: false, 1: true, engine.Latest() - 1: true, engine.Latest(): true, engine.Latest() + 1: false, 99: false,
	} {
		exec("DELETE FROM sqllock_schema")
		if from > 0 {
			exec("INSERT INTO sqllock_schema (compatible_from) VALUES (?)", from)
		}
		steps, err := m.Up(ctx, migrations.All)
		if (err == nil) != serves || len(steps) > 0 {
			t.Errorf("compatible from %d: %v, %v; want compatible: %t", from, steps, err, serves)
		}
		if _, err := m.Up(ctx, 1); err == nil {
			t.Errorf("compatible from %d: one more migration was applied, although none is known here", from)
		}
		if _, err := m.Down(ctx, 1); err == nil {
			t.Errorf("compatible from %d: a newer release's migration was undone", from)
		}
		wantVersion(t, db, 99, false)
	}
	if got := tables(t, db); got != before {
		t.Errorf("tables are %s, and were %s", got, before)
	}
}

func TestDropLeavesTheApplicationAlone(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	must(t, migrations.Up(ctx, db, engine))
	for _, statement := range []string{
		"CREATE TABLE schema_migrations (version uint64, dirty bool)", "CREATE TABLE sqllock_of_mine (n INTEGER)",
		"UPDATE sqllock_schema_migrations SET dirty = true",
	} {
		_, err := db.Exec(statement)
		must(t, err)
	}
	m, err := migrations.New(db, engine, nil)
	must(t, err)
	for range 2 {
		must(t, m.Drop(ctx))
		if got, want := tables(t, db), "schema_migrations sqllock_of_mine"; got != want {
			t.Errorf("tables are %s, want %s", got, want)
		}
	}
	must(t, migrations.Up(ctx, db, engine))
}

func TestBadArguments(t *testing.T) {
	ctx, db := context.Background(), open(t, newFile(t))
	for name, err := range map[string]error{
		"nil DB":     migrations.Up(ctx, nil, engine),
		"nil engine": migrations.Up(ctx, db, nil),
		"negative timeout": func() error {
			_, err := migrations.New(db, engine,
				&migrations.Options{LockTimeout: -1})
			return err
		}(),
		"minus two": func() error {
			m, err := migrations.New(db, engine, nil)
			must(t, err)
			_, err = m.Up(ctx, -2)
			return err
		}(),
	} {
		if !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	closed, err := sqlite.Open("sqlite://" + newFile(t))
	must(t, err)
	must(t, closed.Close())
	var connect *migrations.ConnectError
	if err := migrations.Up(ctx, closed, engine); !errors.As(err, &connect) {
		t.Errorf("closed DB: %v", err)
	}
	missing := open(t, "/nonexistent/folder/a.db")
	if err := migrations.Up(ctx, missing, engine); !errors.As(err, &connect) {
		t.Errorf("missing folder: %v", err)
	}
}
