package migrations_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/mysql"
	"github.com/sqllock/sqllock/migrations/postgres"
	"github.com/sqllock/sqllock/migrations/sqlite"
)

var engines = []*migrations.Engine{postgres.Engine, mysql.Engine, sqlite.Engine}

// Every engine has every migration, under the same name, up and down, without a gap.
func TestEnginesHaveTheSameMigrations(t *testing.T) {
	var first string
	for _, e := range engines {
		entries, err := fs.ReadDir(e.Files, ".")
		must(t, err)
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		all := strings.Join(names, "\n")
		if first == "" {
			first = all
		}
		if all != first {
			t.Errorf("%s has\n%s\nand %s has\n%s", engines[0].Name, first, e.Name, all)
		}
		if got, want := e.Latest(), uint(len(entries)/2); got != want || len(entries)%2 != 0 {
			t.Errorf("%s: %d files lead to version %d", e.Name, len(entries), got)
		}
	}
}

// Where DDL commits by itself a file is one statement: else a failure in the second would leave the first. And the
// caller's *sql.DB need not allow several at once.
func TestFilesAreOneStatement(t *testing.T) {
	for _, e := range engines {
		if e.Transactional {
			continue
		}
		entries, err := fs.ReadDir(e.Files, ".")
		must(t, err)
		for _, entry := range entries {
			text, err := fs.ReadFile(e.Files, entry.Name())
			must(t, err)
			if n := strings.Count(string(text), ";"); n != 1 {
				t.Errorf("%s/%s has %d semicolons, want 1", e.Name, entry.Name(), n)
			}
		}
	}
}

func TestMigrateURL(t *testing.T) {
	for _, test := range []struct {
		engine    *migrations.Engine
		url, want string
	}{
		{postgres.Engine, "postgres://u:p%40s@h:1/db?sslmode=disable&binary_parameters=yes", "pgx5://u:p%40s@h:1/db?connect_timeout=10&sslmode=disable"},
		{postgres.Engine, "pgx5://u@h/db?x-migrations-table=t&connect_timeout=3", "pgx5://u@h/db?connect_timeout=3&x-migrations-table=t"},
		{mysql.Engine, "mysql://u:p%40s@h/db", "mysql://u:p%40s@tcp(h:3306)/db?timeout=10s"},
		{mysql.Engine, "mysql://u:p@tcp(h:1)/db?x-no-lock=true", "mysql://u:p@tcp(h:1)/db?x-no-lock=true&timeout=10s"},
		{mysql.Engine, "mariadb://u:p@unix(/s)/db?timeout=3s", "mysql://u:p@unix(/s)/db?timeout=3s"},
		{sqlite.Engine, "sqlite3://rel/a.db?x-migrations-table=t", "sqlite://rel/a.db?_busy_timeout=5000&_error_rc=1&x-migrations-table=t"},
		{sqlite.Engine, "sqlite:///a.db?_pragma=busy_timeout(3)", "sqlite:///a.db?_error_rc=1&_pragma=busy_timeout%283%29"},
	} {
		got, err := test.engine.MigrateURL(test.url)
		if err != nil || got != test.want {
			t.Errorf("%s: %s, %v; want %s", test.url, got, err, test.want)
		}
	}
	for _, e := range engines {
		for _, url := range []string{"", "x://u:hunter2@h/db", "postgres://u:hun%zter2@h/db", "mysql://u:hunter2@h/db?strict=1", "sqlite://"} {
			if got, err := e.MigrateURL(url); err == nil || strings.Contains(err.Error(), "ter2") {
				t.Errorf("%s: %q: %s, %v", e.Name, url, got, err)
			}
		}
	}
}

func TestLatestPanicsOnlyOnBrokenFiles(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no files are no mistake?")
		}
	}()
	(&migrations.Engine{Name: "none", Files: emptyFS{}}).Latest()
}

type emptyFS struct{}

func (emptyFS) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }
