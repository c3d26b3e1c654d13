package migrations_test

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/mysql"
	"github.com/sqllock/sqllock/migrations/postgres"
	"github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/migrations/sqlserver"
)

var engines = []*migrations.Engine{postgres.Engine, mysql.Engine, sqlite.Engine, sqlserver.Engine}

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
		{sqlserver.Engine, "sqlserver://u:p%40s@h:1?database=d&x-migrations-table=t", "sqlserver://u:p%40s@h:1?database=d&dial+timeout=10&x-migrations-table=t"},
		{sqlserver.Engine, "mssql://u@h/instance?Dial+Timeout=3", "sqlserver://u@h/instance?Dial+Timeout=3"},
		{sqlite.Engine, "sqlite3://rel/a.db?x-migrations-table=t", "sqlite://rel/a.db?_busy_timeout=5000&_error_rc=1&x-migrations-table=t"},
		{sqlite.Engine, "sqlite:///a.db?_pragma=busy_timeout(3)", "sqlite:///a.db?_error_rc=1&_pragma=busy_timeout%283%29"},
	} {
		got, err := test.engine.MigrateURL(test.url)
		if err != nil || got != test.want {
			t.Errorf("%s: %s, %v; want %s", test.url, got, err, test.want)
		}
	}
	for _, e := range engines {
		for _, url := range []string{"", "x://u:hunter2@h/db", "postgres://u:hun%zter2@h/db", "mysql://u:hunter2@h/db?strict=1", "sqlserver://u:hunter2@h:1/db", "sqlite://"} {
			if got, err := e.MigrateURL(url); err == nil || strings.Contains(err.Error(), "ter2") {
				t.Errorf("%s: %q: %s, %v", e.Name, url, got, err)
			}
		}
	}
}

// Every engine can take the lock for an application's migrations, in the database of any URL that golang-migrate takes.
func TestEnginesHaveTheLock(t *testing.T) {
	urls := map[*migrations.Engine][]string{
		postgres.Engine: {
			"pgx5://u:hunter2@h/db?x-migrations-table=%22a%22.%22b%22&x-migrations-table-quoted=1&binary_parameters=yes",
			"postgres://u@h/db?sslmode=disable&x-statement-timeout=5&x-multi-statement=true&x-multi-statement-max-size=100",
		},
		mysql.Engine:  {"mysql://u:hunter2@tcp(h:1)/db?x-no-lock=true&timeout=3s", "mariadb://u@h/db?x-migrations-table=a&x-statement-timeout=5"},
		sqlite.Engine: {"sqlite3://a.db?x-no-tx-wrap=true&_txlock=deferred&_odd=1", "sqlite:///a.db?_busy_timeout=3&x-migrations-table=t"},
	}
	for _, e := range engines {
		if e.Dialect(nil).Name() != e.Name {
			t.Errorf("%s takes locks by %s", e.Name, e.Dialect(nil).Name())
		}
		for _, url := range urls[e] {
			db, d, err := e.Open(url)
			must(t, err)
			if d.Name() != e.Name {
				t.Errorf("%s: %s", url, d.Name())
			}
			must(t, db.Close())
			if _, err := migrations.Application(files, e, url, nil); err != nil {
				t.Error(err)
			}
		}
	}
	for url, e := range map[string]*migrations.Engine{
		"postgres://u:hunter2@h/db?x-multi-statement=maybe":                               postgres.Engine,
		"postgres://u:hunter2@h/db?x-statement-timeout=5s":                                postgres.Engine,
		"postgres://u:hunter2@h/db?x-migrations-table=a.b&x-migrations-table-quoted=true": postgres.Engine,
	} {
		if _, err := migrations.Application(files, e, url, nil); !errors.Is(err, dialect.ErrInvalid) || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, []byte("no certificate"), 0o600))
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	good := filepath.Join(t.TempDir(), "good.pem")
	must(t, os.WriteFile(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	db, _, err := mysql.Engine.Open("mysql://u:p@h/db?x-tls-ca=" + good + "&tls=custom")
	must(t, err)
	must(t, db.Close())
	for _, url := range []string{"mysql://u:hunter2@h/db?tls=custom&x-tls-ca=/nonexistent", "mysql://u:hunter2@h/db?tls=custom&x-tls-ca=" + ca} {
		if _, _, err := mysql.Engine.Open(url); !errors.Is(err, dialect.ErrInvalid) || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: %v", url, err)
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
