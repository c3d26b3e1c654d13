package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"go.uber.org/goleak"

	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
)

// files is an application's folder. It has gaps, a version without a down file, one without an up
// file, a file that isn't a migration, and a migration that fails.
var files = fstest.MapFS{
	"001_users.up.sql":      {Data: []byte("CREATE TABLE users (n INTEGER); CREATE INDEX users_n ON users (n);")},
	"001_users.down.sql":    {Data: []byte("DROP TABLE users;")},
	"3_orders.up.sql":       {Data: []byte("CREATE TABLE orders (n INTEGER)")},
	"0007_down.down.sql":    {Data: []byte("SELECT 1")},
	"20240101_late.up.sql":  {Data: []byte("CREATE TABLE late (n INTEGER)")},
	"20240102_bad.up.sql":   {Data: []byte("CREATE TABLE half (n INTEGER);\nCREATE TABLE users (n INTEGER);")},
	"20240102_bad.down.sql": {Data: []byte("DROP TABLE half")},
	"README.md":             {Data: []byte("not a migration")},
}

// call is one call of golang-migrate's API, and the corresponding call of this package.
type call struct {
	name   string
	theirs func(*migrate.Migrate) error
	ours   func(context.Context, *migrations.Migrator) error
}

func calls() []call {
	list := []call{
		{"drop", (*migrate.Migrate).Drop, func(ctx context.Context,
			m *migrations.Migrator,
		) error {
			return m.Drop(ctx)
		}},
		{"up", (*migrate.Migrate).Up, func(ctx context.Context, m *migrations.Migrator) error {
			_, err := m.Up(ctx, migrations.All)
			return err
		}},
		{"down", (*migrate.Migrate).Down, func(ctx context.Context, m *migrations.Migrator) error {
			_, err := m.Down(ctx, migrations.All)
			return err
		}},
	}
	for _, n := range []int{1, 2, 9} {
		list = append(
			list,
			call{
				fmt.Sprintf("up %d", n), func(m *migrate.Migrate) error { return m.Steps(n) },
				func(ctx context.Context, m *migrations.Migrator) error { _, err := m.Up(ctx, n); return err },
			},
			call{
				fmt.Sprintf("down %d", n), func(m *migrate.Migrate) error { return m.Steps(-n) },
				func(ctx context.Context, m *migrations.Migrator) error { _, err := m.Down(ctx, n); return err },
			},
		)
	}
	for _, v := range []uint{1, 2, 3, 7, 20240101, 20240102} {
		list = append(list, call{
			fmt.Sprintf("goto %d", v), func(m *migrate.Migrate) error { return m.Migrate(v) },
			func(ctx context.Context, m *migrations.Migrator) error { _, err := m.Goto(ctx, v); return err },
		})
	}
	for _, v := range []int{-1, 1, 4, 7, 20240101} {
		list = append(list, call{
			fmt.Sprintf("force %d", v), func(m *migrate.Migrate) error { return m.Force(v) },
			func(ctx context.Context, m *migrations.Migrator) error { return m.Force(ctx, v) },
		})
	}
	return list
}

// The same calls on the same files leave the same tables, version and dirty flag as golang-migrate
// itself, and fail in the same cases. The exception: sqllock doesn't leave a version dirty that was
// undone.
func TestSameAsGolangMigrate(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 0))
		theirFile, ourFile := newFile(t), newFile(t)
		theirs, ours := open(t, theirFile), open(t, ourFile)
		list, history := calls(), ""
		for range 15 {
			c := list[random.IntN(len(list))]
			history += c.name + "; "

			source, err := iofs.New(files, ".")
			must(t, err)
			settings := []string{"?_sync=OFF", "?_sync=OFF&x-no-tx-wrap=true"}[seed/2%2]
			m, err := migrate.NewWithSourceInstance("iofs", source, "sqlite://"+theirFile+settings)
			must(t, err)
			theirErr := c.theirs(m)
			if errors.Is(theirErr, migrate.ErrNoChange) {
				theirErr = nil
			}
			before := row(t, ourFile)
			mine, err := migrations.Application(files, engine, "sqlite://"+ourFile+settings,
				&migrations.Options{Lock: []lock.Kind{lock.None, lock.Lease}[seed%2]})
			must(t, err)
			ourErr := c.ours(ctx, mine)
			var refused *migrations.StatementError
			if errors.As(ourErr, &refused) && !refused.Dirty {
				// golang-migrate has undone this as well, but leaves the version dirty.
				if their := row(t, theirFile); !strings.HasSuffix(their, ",1") {
					t.Fatalf("%s\ngolang-migrate: %s, and before %s", history, their, before)
				}
				must(t, m.Force(refused.Version))
			}
			_, err = m.Close()
			must(t, err)

			if (theirErr == nil) != (ourErr == nil) {
				t.Fatalf("%s\ngolang-migrate: %v\nsqllock: %v", history, theirErr, ourErr)
			}
			if their, our := tables(t, theirs), ownTables.ReplaceAllString(tables(t, ours), ""); their != our {
				t.Fatalf("%s\ngolang-migrate: %s\nsqllock: %s", history, their, our)
			}
			if their, our := row(t, theirFile), row(t, ourFile); their != our {
				t.Fatalf("%s\ngolang-migrate: %s\nsqllock: %s", history, their, our)
			}
		}
	}
}

// ownTables matches the names of sqllock's tables, which a lease needs, and of the history, in the
// result of tables.
var ownTables = regexp.MustCompile(` ?\b(sqllock_\w+|\w+_history)`)

// row returns the contents of schema_migrations.
func row(t *testing.T, file string) string {
	t.Helper()
	var text string
	const query = "SELECT coalesce(group_concat(version || ',' || dirty), 'empty') FROM schema_migrations"
	err := open(t, file).QueryRow(query).Scan(&text)
	if err != nil {
		return "none"
	}
	return text
}

func TestApplicationFailure(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	file := newFile(t)
	m, err := migrations.Application(files, engine, "sqlite://"+file+"?x-migrations-table=mine&x-no-tx-wrap=true", nil)
	must(t, err)
	_, err = m.Up(context.Background(), migrations.All)
	var refused *migrations.StatementError
	if !errors.As(err, &refused) || refused.File != "20240102_bad.up.sql" || refused.Line != 2 || !refused.Dirty ||
		refused.Version != 20240102 {
		t.Errorf("%#v", err)
	}
	for _, want := range []string{
		"already exists", "CREATE TABLE users", "dirty", "`sqllock-migrate force`", "x-no-tx-wrap",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoesn't contain %q", err, want)
		}
	}
	_, err = m.Up(context.Background(), migrations.All)
	var dirty *migrations.DirtyError
	if !errors.As(err, &dirty) || dirty.Version != 20240102 || dirty.Own {
		t.Errorf("dirty: %v", err)
	}
	db := open(t, file)
	if got, want := ownTables.ReplaceAllString(tables(t, db), ""), "half late mine orders users"; got != want {
		t.Errorf("tables are %q, want %q", got, want)
	}
	must(t, db.Close())
}

func TestApplicationBadInput(t *testing.T) {
	var connect *migrations.ConnectError
	m, err := migrations.Application(files, engine, "sqlite:///nonexistent/folder/a.db", nil)
	must(t, err)
	if _, err := m.Up(context.Background(), 1); !errors.As(err, &connect) || strings.Contains(err.Error(), "memory") {
		t.Errorf("missing folder: %v", err)
	}
	if _, _, err := m.Version(context.Background()); !errors.As(err, &connect) {
		t.Errorf("missing folder: %v", err)
	}
	if _, err := migrations.Application(fstest.MapFS{}, engine, "sqlite://a.db", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no migrations: %v", err)
	}
	twice := fstest.MapFS{"1_a.up.sql": {}, "01_b.up.sql": {}}
	if _, err := migrations.Application(twice, engine, "sqlite://a.db", nil); err == nil ||
		!strings.Contains(err.Error(), "01_b.up.sql") {
		t.Errorf("version 1 twice: %v", err)
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("CREATE TABEL x;\n-- é\n", 1, 8)
	f.Fuzz(func(t *testing.T, text string, line, column int) {
		// No position that a server reports may make locate panic.
		_ = migrations.Locate(text, "", line, column)
		_ = migrations.Locate("SELECT 1;\n"+text, text, line, column)
	})
}

func TestMissingMigrationFile(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "1_a.up.sql"), []byte("CREATE TABLE a (n INTEGER)"), 0o600))
	m, err := migrations.Application(os.DirFS(folder), engine, "sqlite://"+newFile(t), nil)
	must(t, err)
	must(t, os.Remove(filepath.Join(folder, "1_a.up.sql")))
	if _, err := m.Up(context.Background(), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file gone: %v", err)
	}
	if at, dirty, err := m.Version(context.Background()); at != -1 || dirty || err != nil {
		t.Errorf("version %d, %v, %v after a file that couldn't be read", at, dirty, err)
	}
}
