package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// tableFiles returns migrations that each create a table: t1 and so on.
func tableFiles(versions ...int) fstest.MapFS {
	files := fstest.MapFS{}
	for _, v := range versions {
		files[fmt.Sprintf("%d_t.up.sql", v)] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"CREATE TABLE t%d (n INTEGER);\n", v)}
		files[fmt.Sprintf("%d_t.down.sql", v)] = &fstest.MapFile{Data: fmt.Appendf(nil, "DROP TABLE t%d;\n", v)}
	}
	return files
}

// edited returns files with another text in one of them.
func edited(files fstest.MapFS, name, text string) fstest.MapFS {
	files = maps.Clone(files)
	files[name] = &fstest.MapFile{Data: []byte(text)}
	return files
}

// migratorOf returns a Migrator for an SQLite file, without the lock, which these tests don't need.
func migratorOf(t *testing.T, files fstest.MapFS, file string, options migrations.Options) *migrations.Migrator {
	t.Helper()
	options.Lock = lock.None
	m, err := migrations.Application(files, engine, "sqlite://"+file+"?_sync=OFF", &options)
	must(t, err)
	return m
}

// golangMigrate calls f with golang-migrate itself, on the same file.
func golangMigrate(t *testing.T, files fstest.MapFS, file string, f func(*migrate.Migrate) error) {
	t.Helper()
	source, err := iofs.New(files, ".")
	must(t, err)
	m, err := migrate.NewWithSourceInstance("iofs", source, "sqlite://"+file+"?_sync=OFF")
	must(t, err)
	if err := f(m); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		t.Fatal(err)
	}
	_, err = m.Close()
	must(t, err)
}

// states returns the status as a text: "1 applied run, 2 pending".
func states(t *testing.T, m *migrations.Migrator) string {
	t.Helper()
	status, err := m.Status(t.Context())
	must(t, err)
	var list []string
	for _, m := range status.Migrations {
		text := fmt.Sprintf("%d %s", m.Version, m.State)
		if m.Record != nil {
			text += " " + string(m.Record.How)
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func wantStates(t *testing.T, m *migrations.Migrator, want string) {
	t.Helper()
	if got := states(t, m); got != want {
		t.Errorf("status is\n%s\nwant\n%s", got, want)
	}
}

// wantApplied checks the results of a call that migrates.
func wantApplied(t *testing.T, steps []migrations.Step, err error, want ...string) {
	t.Helper()
	var got []string
	for _, step := range steps {
		got = append(got, step.String())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestLateMigration(t *testing.T) {
	ctx, file := t.Context(), newFile(t)
	_, err := migratorOf(t, tableFiles(1, 2, 12), file, migrations.Options{}).Up(ctx, migrations.All)
	must(t, err)
	m := migratorOf(t, tableFiles(1, 2, 3, 11, 12, 13), file, migrations.Options{})
	wantStates(t, m, "1 applied run, 2 applied run, 3 late, 11 late, 12 applied run, 13 pending")

	for what, do := range map[string]func() ([]migrations.Step, error){
		"up":      func() ([]migrations.Step, error) { return m.Up(ctx, migrations.All) },
		"up 1":    func() ([]migrations.Step, error) { return m.Up(ctx, 1) },
		"goto 13": func() ([]migrations.Step, error) { return m.Goto(ctx, 13) },
		"goto 12": func() ([]migrations.Step, error) { return m.Goto(ctx, 12) },
	} {
		steps, err := do()
		late, ok := errors.AsType[*migrations.LateError](err)
		if !ok || len(steps) > 0 || late.Version != 12 ||
			!strings.Contains(err.Error(), "3_t.up.sql, 11_t.up.sql: not applied") {
			t.Errorf("%s: %v, %v", what, steps, err)
		}
	}

	m = migratorOf(t, tableFiles(1, 2, 3, 11, 12, 13), file, migrations.Options{AllowMissing: true})
	steps, err := m.Up(ctx, 1)
	wantApplied(t, steps, err, "3/u t")
	if !steps[0].Late {
		t.Error("the step isn't marked as late")
	}
	if at, dirty, err := m.Version(ctx); at != 12 || dirty || err != nil {
		t.Errorf("a late migration leads to %d, %v, %v", at, dirty, err)
	}
	wantStates(t, m, "1 applied run, 2 applied run, 3 applied run, 11 late, 12 applied run, 13 pending")
	steps, err = m.Up(ctx, migrations.All)
	wantApplied(t, steps, err, "11/u t", "13/u t")
	steps, err = m.Up(ctx, migrations.All)
	wantApplied(t, steps, err)
}

// A migration that was never applied isn't undone.
func TestDownPastLateMigration(t *testing.T) {
	ctx, file := t.Context(), newFile(t)
	_, err := migratorOf(t, tableFiles(1, 2, 12), file, migrations.Options{}).Up(ctx, migrations.All)
	must(t, err)
	m := migratorOf(t, tableFiles(1, 2, 11, 12), file, migrations.Options{})
	steps, err := m.Down(ctx, 1)
	wantApplied(t, steps, err, "12/d t")
	wantStates(t, m, "1 applied run, 2 applied run, 11 pending, 12 pending") // 2 and 3 aren't late any more
	steps, err = m.Up(ctx, migrations.All)
	wantApplied(t, steps, err, "11/u t", "12/u t")

	m = migratorOf(t, tableFiles(1, 2, 3, 11, 12), file, migrations.Options{})
	steps, err = m.Goto(ctx, 3) // 3 is late, until it is applied
	wantApplied(t, steps, err, "12/d t", "11/d t", "3/u t")
	steps, err = m.Down(ctx, migrations.All)
	wantApplied(t, steps, err, "3/d t", "2/d t", "1/d t")
}

func TestEditedMigration(t *testing.T) {
	ctx, file, files := t.Context(), newFile(t), tableFiles(1, 2, 3)
	_, err := migratorOf(t, files, file, migrations.Options{}).Up(ctx, 2)
	must(t, err)

	crlf := edited(files, "1_t.up.sql", "CREATE TABLE t1 (n INTEGER);\r\n")
	wantStates(t, migratorOf(t, crlf, file, migrations.Options{}), "1 applied run, 2 applied run, 3 pending")

	changed := edited(files, "2_t.up.sql", "CREATE TABLE t2 (n INTEGER, m INTEGER);")
	m := migratorOf(t, changed, file, migrations.Options{AllowMissing: true})
	wantStates(t, m, "1 applied run, 2 edited run, 3 pending")
	steps, err := m.Up(ctx, migrations.All)
	if e, ok := errors.AsType[*migrations.EditedError](err); !ok || len(steps) > 0 || e.Files[0].Version != 2 ||
		!strings.Contains(err.Error(), "2_t.up.sql") {
		t.Errorf("%v, %v", steps, err)
	}
	steps, err = m.Redo(ctx, 1)
	wantApplied(t, steps, err, "2/d t", "2/u t")
	wantStates(t, m, "1 applied run, 2 applied run, 3 pending")
	_, err = open(t, file).Exec("INSERT INTO t2 (m) VALUES (1)") // the table has the column of the edited file
	must(t, err)
}

func TestRepair(t *testing.T) {
	ctx, file, files := t.Context(), newFile(t), tableFiles(1, 3)
	m := migratorOf(t, files, file, migrations.Options{})
	_, err := m.Up(ctx, migrations.All)
	must(t, err)
	before, err := m.Status(ctx)
	must(t, err)

	m = migratorOf(t, edited(tableFiles(1, 2, 3, 4), "1_t.up.sql", "-- why\nCREATE TABLE t1 (n INTEGER);"), file,
		migrations.Options{})
	wantStates(t, m, "1 edited run, 2 late, 3 applied run, 4 pending")
	records, err := m.Repair(ctx)
	if err != nil || len(records) != 2 || records[0].Version != 1 || records[1].Version != 2 {
		t.Errorf("%+v, %v", records, err)
	}
	wantStates(t, m, "1 applied run, 2 applied repaired, 3 applied run, 4 pending")
	after, err := m.Status(ctx)
	must(t, err)
	if was, is := before.Migrations[0].Record, after.Migrations[0].Record; !was.At.Equal(is.At) ||
		was.Checksum == is.Checksum {
		t.Errorf("repaired from %+v to %+v", was, is)
	}
	steps, err := m.Up(ctx, migrations.All)
	wantApplied(t, steps, err, "4/u t")
	if records, err := m.Repair(ctx); err != nil || len(records) != 0 {
		t.Errorf("again: %v, %v", records, err)
	}
	own, err := migrations.New(open(t, file), engine, nil)
	must(t, err)
	if _, err := own.Repair(ctx); !errors.Is(err, dialect.ErrUnsupported) {
		t.Errorf("own: %v", err)
	}
}

func TestRedo(t *testing.T) {
	ctx, files := t.Context(), tableFiles(1, 2, 3)
	delete(files, "1_t.down.sql")
	m := migratorOf(t, files, newFile(t), migrations.Options{})
	var short *migrations.ShortError
	if steps, err := m.Redo(ctx, 1); !errors.As(err, &short) || len(steps) > 0 {
		t.Errorf("nothing is applied: %v, %v", steps, err)
	}
	_, err := m.Up(ctx, migrations.All)
	must(t, err)
	steps, err := m.Redo(ctx, 2)
	wantApplied(t, steps, err, "3/d t", "2/d t", "2/u t", "3/u t")
	if steps, err := m.Redo(ctx, 3); err == nil || len(steps) > 0 ||
		!strings.Contains(err.Error(), "1_t.up.sql can't be taken back") {
		t.Errorf("one has no down file: %v, %v", steps, err)
	}
	if at, dirty, err := m.Version(ctx); at != 3 || dirty || err != nil {
		t.Errorf("at %d, %v, %v", at, dirty, err)
	}
}

// golang-migrate's own command has migrated before the history was begun, and does so again later.
func TestHistoryBesideGolangMigrate(t *testing.T) {
	ctx, file, files := t.Context(), newFile(t), tableFiles(1, 2, 3, 4, 5, 6)
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Steps(2) })
	m := migratorOf(t, files, file, migrations.Options{})
	wantStates(t, m, "1 applied, 2 applied, 3 pending, 4 pending, 5 pending, 6 pending")
	if got := tables(t, open(t, file)); strings.Contains(got, "history") {
		t.Errorf("status has created %s", got)
	}
	_, err := m.Up(ctx, 1)
	must(t, err)
	wantStates(t, m, "1 applied found, 2 applied found, 3 applied run, 4 pending, 5 pending, 6 pending")
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Steps(2) })
	wantStates(t, m, "1 applied found, 2 applied found, 3 applied run, 4 applied, 5 applied, 6 pending")
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Steps(-3) })
	wantStates(t, m, "1 applied found, 2 applied found, 3 pending, 4 pending, 5 pending, 6 pending")
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Up() })
	wantStates(t, m, "1 applied found, 2 applied found, 3 applied run, 4 applied, 5 applied, 6 applied")
	_, err = m.Down(ctx, 1)
	must(t, err)
	wantStates(t, m, "1 applied found, 2 applied found, 3 applied run, 4 applied found, 5 applied found, 6 pending")

	// A migration that is late or edited after it was found is reported like any other.
	changed := migratorOf(t, edited(tableFiles(1, 2, 3, 4, 5), "2_t.up.sql", "SELECT 1"), file, migrations.Options{})
	wantStates(t, changed, "1 applied found, 2 edited found, 3 applied run, 4 applied found, 5 applied found")
	_, err = m.Down(ctx, migrations.All)
	must(t, err)
	wantStates(t, m, "1 pending, 2 pending, 3 pending, 4 pending, 5 pending, 6 pending")
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Up() })
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Drop() })
	wantStates(t, m, "1 pending, 2 pending, 3 pending, 4 pending, 5 pending, 6 pending")
}

// golang-migrate's command and sqllock migrate in any order, and versions are forced. The status
// always says which migrations are applied, and the records that a run has written are those of a
// run.
func TestHistoryTellsTheTruth(t *testing.T) {
	all := tableFiles(1, 2, 3, 4, 5, 6, 7)
	for seed := range uint64(6) {
		random, file, log := rand.New(rand.NewPCG(seed, 1)), newFile(t), ""
		db := open(t, file)
		m := migratorOf(t, all, file, migrations.Options{})
		for range 12 {
			n := 1 + random.IntN(3)
			version := uint(1 + random.IntN(7))
			switch random.IntN(6) {
			case 0:
				log += fmt.Sprintf("migrate up %d; ", n)
				golangMigrate(t, all, file, func(m *migrate.Migrate) error { _ = m.Steps(n); return nil })
			case 1:
				log += fmt.Sprintf("migrate down %d; ", n)
				golangMigrate(t, all, file, func(m *migrate.Migrate) error { _ = m.Steps(-n); return nil })
			case 2:
				log += fmt.Sprintf("migrate goto %d; ", version)
				golangMigrate(t, all, file, func(m *migrate.Migrate) error { return m.Migrate(version) })
			case 3:
				log += fmt.Sprintf("up %d; ", n)
				_, _ = m.Up(t.Context(), n)
			case 4:
				log += fmt.Sprintf("down %d; ", n)
				_, _ = m.Down(t.Context(), n)
			case 5:
				log += fmt.Sprintf("goto %d; ", version)
				_, err := m.Goto(t.Context(), version)
				must(t, err)
			}
			status, err := m.Status(t.Context())
			must(t, err)
			var want, got []string
			for name := range strings.FieldsSeq(tables(t, db)) {
				if strings.HasPrefix(name, "t") {
					want = append(want, name)
				}
			}
			for _, one := range status.Migrations {
				if one.State == migrations.StateApplied {
					got = append(got, fmt.Sprintf("t%d", one.Version))
				}
			}
			if !slices.Equal(got, want) || status.Count(migrations.StateApplied, migrations.StatePending) != 7 {
				t.Fatalf("%s\nthe tables are %s, and status says %s of %+v", log, want, got, status)
			}
		}
	}
}

// Force writes to the history, too.
func TestForceIsRecorded(t *testing.T) {
	ctx, file := t.Context(), newFile(t)
	files := edited(tableFiles(1, 2, 4), "2_t.up.sql", "CREATE TABLE t2 (n INTEGER); CREATE TABLE t2 (n INTEGER);")
	m := migratorOf(t, files, file, migrations.Options{})
	if _, err := m.Up(ctx, migrations.All); err == nil {
		t.Fatal("2 has succeeded")
	}
	must(t, m.Force(ctx, 2))
	wantStates(t, m, "1 applied run, 2 applied forced, 4 pending")
	must(t, m.Force(ctx, 1))
	wantStates(t, m, "1 applied run, 2 pending, 4 pending")
	must(t, m.Force(ctx, 3)) // there is no file of version 3
	wantStates(t, m, "1 applied run, 2 applied forced, 3 unknown, 4 pending")
	must(t, m.Force(ctx, 4))
	must(t, m.Force(ctx, -1))
	wantStates(t, m, "1 pending, 2 pending, 4 pending")
	must(t, m.Force(ctx, 4))
	wantStates(t, m, "1 applied forced, 2 applied forced, 4 applied forced")
	m = migratorOf(t, tableFiles(1, 2, 3, 4), file, migrations.Options{})
	wantStates(t, m, "1 applied forced, 2 edited forced, 3 late, 4 applied forced")

	// A record of a migration that golang-migrate has undone since doesn't count.
	file, files = newFile(t), tableFiles(1, 2, 3, 4)
	m = migratorOf(t, files, file, migrations.Options{})
	_, err := m.Up(ctx, migrations.All)
	must(t, err)
	golangMigrate(t, files, file, func(m *migrate.Migrate) error { return m.Steps(-3) })
	must(t, m.Force(ctx, 3))
	wantStates(t, m, "1 applied run, 2 applied forced, 3 applied forced, 4 pending")
}

// The history records when, for how long and by which holder each migration was applied.
func TestRecords(t *testing.T) {
	ctx, file, files := context.Background(), newFile(t), tableFiles(1, 2)
	m := migratorOf(t, files, file, migrations.Options{Holder: "me"})
	_, err := m.Up(ctx, 1)
	must(t, err)
	_, err = migratorOf(t, files, file, migrations.Options{}).Up(ctx, 1)
	must(t, err)
	status, err := m.Status(ctx)
	must(t, err)
	if status.Version != 2 || status.Dirty || !status.Current() ||
		status.History != `main."schema_migrations_history"` {
		t.Errorf("%+v", status)
	}
	for i, m := range status.Migrations {
		r := m.Record
		if r == nil {
			t.Fatalf("there is no record of %+v", m)
		}
		if since := time.Since(r.At); since < -time.Minute || since > 5*time.Minute || r.Took <= 0 ||
			r.Name != "t" || r.Down {
			t.Errorf("%+v", r)
		}
		if want := migrations.Checksum(files[m.Up].Data); r.Checksum != want || len(want) != 64 {
			t.Errorf("the checksum is %s, want %s", r.Checksum, want)
		}
		if by := []string{"me", sqllock.DefaultHolder()}[i]; r.By != by {
			t.Errorf("by %s, want %s", r.By, by)
		}
	}
}

// A late migration that fails, and isn't undone, is named by the error of the next run.
func TestLateMigrationFails(t *testing.T) {
	ctx, file := t.Context(), newFile(t)
	_, err := migratorOf(t, tableFiles(1, 3), file, migrations.Options{}).Up(ctx, migrations.All)
	must(t, err)
	files := edited(tableFiles(1, 2, 3), "2_t.up.sql", "CREATE TABLE t2 (n INTEGER); CREATE TABLE t2 (n INTEGER);")
	m := migratorOf(t, files, file, migrations.Options{AllowMissing: true})
	if _, err := m.Up(ctx, migrations.All); err == nil {
		t.Fatal("2 has succeeded")
	}
	_, err = m.Up(ctx, migrations.All)
	if dirty, ok := errors.AsType[*migrations.DirtyError](err); ok && !slices.Contains(dirty.Files, "2_t.up.sql") {
		t.Errorf("%v", err)
	}
	must(t, m.Force(ctx, 3))
	wantStates(t, m, "1 applied run, 2 late, 3 applied run")
	fixed := migratorOf(t, tableFiles(1, 2, 3), file, migrations.Options{AllowMissing: true})
	db := open(t, file)
	_, err = db.Exec("DROP TABLE IF EXISTS t2")
	must(t, err)
	steps, err := fixed.Up(ctx, migrations.All)
	wantApplied(t, steps, err, "2/u t")
}
