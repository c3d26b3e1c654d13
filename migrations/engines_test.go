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

// Where DDL commits by itself a file is one statement; otherwise a failure of the second one would
// leave the first one applied. It also means that the caller's *sql.DB doesn't have to allow
// several statements at once.
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

// Every engine can take the lock for an application's migrations, in the database of any URL that
// golang-migrate accepts.
func TestParse(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "good.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		0o600))
	urls := map[*migrations.Engine][]string{
		postgres.Engine: {
			"pgx5://u:hunter2@h/db?x-migrations-table=%22a%22.%22b%22&x-migrations-table-quoted=1" +
				"&binary_parameters=yes",
			"postgres://u@h/db?sslmode=disable&x-statement-timeout=5&x-multi-statement=true" +
				"&x-multi-statement-max-size=100",
			"pgx://u@h1:1,h2:2/db?x-lock-strategy=advisory", "pgx4://u@h/db?", "postgresql:///db?host=/run/postgresql&",
			"postgres://u@h/db?x-migrations-table=a.b",
			"postgres://u@h/db?x-migrations-table=with+space&x-statement-timeout=",
		},
		mysql.Engine: {
			"mysql://u:hunter2@tcp(h:1)/db?x-no-lock=true&timeout=3s",
			"mariadb://u@h/db?x-migrations-table=a&x-statement-timeout=5",
			"mysql://u:p@h/db?x-tls-ca=" + ca + "&tls=custom&x-tls-insecure-skip-verify=1",
			"mysql://root@(127.0.0.1:3306)/db",
			"mysql://root@/db", "mysql:///db", "mysql://root@tcp/db?a=b&", "mysql://root@tcp/db?parseTime",
			"mysql://u@h/db?",
			"mysql://u@h/db?x-migrations-table=select", "mysql://u@h/db?x-migrations-table=a.b",
		},
		sqlite.Engine: {
			"sqlite3://a.db?x-no-tx-wrap=true&_txlock=deferred&_odd=1",
			"sqlite:///a.db?_busy_timeout=3&x-migrations-table=t",
			"sqlite://a.db?x-migrations-table=a.b", "sqlite://a.db?x-migrations-table=%22a%22",
			"sqlite://a.db?x-migrations-table=[a b]",
		},
		sqlserver.Engine: {
			"sqlserver://u:p%40s@h:1?database=d&x-migrations-table=t", "mssql://u@h/instance?Dial+Timeout=3&database=d",
		},
	}
	for _, e := range engines {
		if e.Dialect(nil).Name() != e.Name {
			t.Errorf("%s takes locks by %s", e.Name, e.Dialect(nil).Name())
		}
		for _, url := range urls[e] {
			settings, err := e.Parse(url)
			if err != nil {
				t.Errorf("%s: %v", url, err)
				continue
			}
			db, d, err := settings.Locks()
			must(t, err)
			if d.Name() != e.Name || settings.Name == "" {
				t.Errorf("%s: %s, version table %q", url, d.Name(), settings.Name)
			}
			must(t, db.Close())
			db, err = settings.Open()
			must(t, err)
			must(t, db.Close())
		}
	}
}

// Errors in a URL are reported at once, with the parameter's name and without the password.
func TestParseRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(broken, []byte("no certificate"), 0o600))
	for _, test := range []struct {
		engine *migrations.Engine
		query  string
		part   string
	}{
		{postgres.Engine, "x-multi-statement=maybe", "x-multi-statement: "},
		{postgres.Engine, "x-multi-statement-max-size=-1", "x-multi-statement-max-size: "},
		{postgres.Engine, "x-statement-timeout=5s", "x-statement-timeout: "},
		{postgres.Engine, "x-statement-timeout=9999999999999", "x-statement-timeout: "},
		{postgres.Engine, "x-migrations-table=a.b&x-migrations-table-quoted=true", "x-migrations-table: "},
		{postgres.Engine, "x-migrations-table=%22%22&x-migrations-table-quoted=true", "x-migrations-table: "},
		{
			postgres.Engine, "x-migrations-table=%22a%22.%22b%22.%22c%22&x-migrations-table-quoted=true",
			"x-migrations-table: ",
		},
		{postgres.Engine, "x-migrations-table=a%zz", "x-migrations-table: "},
		{
			postgres.Engine, "x-migrations-table=a&x-migrations-table=b",
			"x-migrations-table: it is given more than once",
		},
		{postgres.Engine, "x-migrations-table=a%00", "x-migrations-table: "},
		{postgres.Engine, "x-lock-strategy=table", "x-lock-strategy: "},
		{postgres.Engine, "x-lock-strategy=nonsense", "x-lock-strategy: "},
		{postgres.Engine, "x-lock-table=locks", "x-lock-table: "},
		{postgres.Engine, "x-migration-table=t", "x-migration-table: there is no such parameter"},
		{postgres.Engine, "x%2Dno-lock=true", "x-no-lock: there is no such parameter"},
		{postgres.Engine, "X-Migrations-Table=t", "X-Migrations-Table: there is no such parameter"},
		{mysql.Engine, "x-no-lock=maybe", "x-no-lock: "},
		{mysql.Engine, "x-statement-timeout=soon", "x-statement-timeout: "},
		{mysql.Engine, "x-statement-timeout=-5", "x-statement-timeout: "},
		{mysql.Engine, "x-migrations-table=a%60b", "x-migrations-table: "},
		{mysql.Engine, "x-migrations-table=" + strings.Repeat("a", 65), "x-migrations-table: "},
		{mysql.Engine, "x-no-tx-wrap=true", "x-no-tx-wrap: there is no such parameter"},
		{mysql.Engine, "tls=custom&x-tls-ca=/nonexistent", "x-tls-ca: "},
		{mysql.Engine, "tls=custom&x-tls-ca=" + broken, "x-tls-ca: "},
		{mysql.Engine, "tls=true&x-tls-ca=" + broken, "x-tls-ca: it needs tls=NAME"},
		{
			mysql.Engine, "tls=custom&x-tls-ca=" + broken + "&x-tls-cert=" + broken,
			"x-tls-cert and x-tls-key need each other",
		},
		{mysql.Engine, "x-tls-key=a.pem", "x-tls-key: it needs x-tls-ca"},
		{mysql.Engine, "x-tls-insecure-skip-verify=2", "x-tls-insecure-skip-verify: "},
		{sqlite.Engine, "x-no-tx-wrap=2", "x-no-tx-wrap: "},
		{sqlite.Engine, "x-statement-timeout=5", "x-statement-timeout: there is no such parameter"},
		{sqlite.Engine, "mode=memory", "memory"},
		{sqlserver.Engine, "database=d&x-statement-timeout=5", "x-statement-timeout: there is no such parameter"},
		{sqlserver.Engine, "database=d&x-migrations-table=a%5Db", "x-migrations-table: "},
		{sqlserver.Engine, "database=d&useMsi=true", "useMsi"},
	} {
		url := test.engine.Name + "://u:hunter2@h/db?" + test.query
		if test.engine == sqlserver.Engine {
			url = "sqlserver://u:hunter2@h?" + test.query
		}
		_, err := migrations.Application(files, test.engine, url, nil)
		if !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), test.part) ||
			strings.Contains(err.Error(), "ter2") {
			t.Errorf("%s: %v; want %q", url, err, test.part)
		}
	}
	for _, e := range engines {
		for _, url := range []string{
			"", "x://u:hunter2@h/db", "postgres://u:hun%zter2@h/db", "mysql://u:hunter2@h/db?strict=1",
			"sqlserver://u:hunter2@h:1/db", "sqlite://",
		} {
			if _, err := e.Parse(url); !errors.Is(err, dialect.ErrInvalid) || strings.Contains(err.Error(), "ter2") {
				t.Errorf("%s: %q: %v", e.Name, url, err)
			}
		}
	}
}

func TestLatestPanicsOnlyOnBrokenFiles(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Latest without files doesn't panic")
		}
	}()
	(&migrations.Engine{Name: "none", Files: emptyFS{}}).Latest()
}

type emptyFS struct{}

func (emptyFS) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }
