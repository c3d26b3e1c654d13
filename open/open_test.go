package open

import (
	"errors"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

func TestURL(t *testing.T) {
	for url, name := range map[string]string{
		"postgres://u@127.0.0.1:1/db?sslmode=disable": "postgres",
		"postgresql://u:p@127.0.0.1:1/db":             "postgres",
		"mysql://u:p@127.0.0.1:1/db":                  "mysql",
		"mysql://u:p@tcp(127.0.0.1:1)/db":             "mysql",
		"mariadb://u:p@127.0.0.1:1/db":                "mysql",
		"sqlserver://u:p@127.0.0.1:1?database=db":     "sqlserver",
		"mssql://u@127.0.0.1?Database=db":             "sqlserver",
		"SQLite:///tmp/not-there/a.db":                "sqlite",
		"sqlite3://a.db":                              "sqlite",
	} {
		database, err := URL(url)
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if got := database.Dialect.Name(); got != name || database.Migrations.Name != name {
			t.Errorf("%q: dialect %s, migrations %s; want %s", url, got, database.Migrations.Name, name)
		}
		if err := database.DB.Close(); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestURLRefuses(t *testing.T) {
	for _, url := range []string{
		"", "postgres", "psotgres://u:hunter2@h/db", "postgres:u:hunter2@h/db", "://u:hunter2@h/db", "u:hunter2@h/db",
		"host=h password=hunter2", "pgx5://u:hunter2@h/db",
	} {
		database, err := URL(url)
		if database != nil || !errors.Is(err, dialect.ErrInvalid) {
			t.Errorf("%q: %v, %v", url, database, err)
			continue
		}
		for _, scheme := range Schemes() {
			if !strings.Contains(err.Error(), scheme+"://") {
				t.Errorf("%q: %v: doesn't name %s", url, err, scheme)
			}
		}
		if !strings.Contains(err.Error(), Redact(url)) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v: must name the URL, without password", url, err)
		}
	}
}

func TestMigrations(t *testing.T) {
	if e, err := Migrations("pgx5://u@h/db"); err != nil || e.Name != "postgres" {
		t.Errorf("pgx5: %v, %v", e, err)
	}
	if _, err := Migrations("cassandra://h/db"); !errors.Is(err, dialect.ErrInvalid) {
		t.Errorf("cassandra: %v", err)
	}
}

// TestSchemaVersions checks that a dialect's statements and its tables have the same version.
func TestSchemaVersions(t *testing.T) {
	for _, e := range engines {
		d, err := e.dialect(nil, e.schemes[0]+"://u@h/db?database=db")
		if err != nil {
			t.Errorf("%s: %v", e.migrations.Name, err)
			continue
		}
		if got, want := d.SchemaVersion(), e.migrations.Latest(); got != want {
			t.Errorf("%s: the dialect is written for version %d, and the migrations lead to %d",
				e.migrations.Name, got, want)
		}
	}
}

// FuzzURL checks that opening any URL returns a database or an error that doesn't show the
// password, and never panics.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"postgres://u:%s@h/db", "mysql://u:%s@h/db?strict=1", "mysql://u:%s@tcp(h:1)/db", "sqlite://%s?mode=memory",
		"%s", "x:%s@",
		"postgres://h:%s@:x/?connect_timeout=a", "postgres://u:%s@h,i:x,/db",
		"sqlserver://u:%s@h:1?database=d&password=p", "mssql://u:%s@h:1/d",
	} {
		f.Add(seed)
	}
	const secret = "QUIETWORD"
	f.Fuzz(func(t *testing.T, form string) {
		before, after, found := strings.Cut(form, "%s")
		if !found || !strings.HasSuffix(before, ":") || !strings.HasPrefix(after, "@") {
			after = "@" + after
			before += ":"
		}
		url := before + secret + after
		database, err := URL(url)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: the error shows the password: %v", url, err)
			}
			return
		}
		_ = database.DB.Close()
	})
}
