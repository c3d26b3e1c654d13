package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/dialect"
)

// The migrations and their lock use the same file, whatever its name, and each parameter arrives
// unchanged.
func TestParseOpensOneFile(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ written, name, query, pragma, want string }{
		{"a.db", "a.db", "", "busy_timeout", "5000"},
		{"a%20b%2B.db", "a b+.db", "?_pragma=busy_timeout(7)", "busy_timeout", "7"},
		{"a b.db", "a b.db", "?_pragma=busy_timeout%287%29&x-migrations-table=t", "busy_timeout", "7"},
		{"é+%25.db", "é+%.db", "?x-no-tx-wrap=1&_busy_timeout=3&", "busy_timeout", "3"},
		{"a%23b.db", "a#b.db", "?_pragma=case_sensitive_like+%3D+1&_fk=1", "foreign_keys", "1"},
	} {
		settings, err := parse("sqlite://" + dir + "/" + test.written + test.query)
		if err != nil {
			t.Fatal(err)
		}
		migrations, err := settings.Open()
		if err != nil {
			t.Fatal(err)
		}
		locks, _, err := settings.Locks()
		if err != nil {
			t.Fatal(err)
		}
		for _, db := range []*sql.DB{migrations, locks} {
			var file, value string
			if err := db.QueryRow("SELECT file FROM pragma_database_list").Scan(&file); err != nil ||
				filepath.Base(file) != test.name {
				t.Errorf("%s: opened %s, %v; want %s", test.written, file, err, test.name)
			}
			if db == locks {
				continue
			}
			if err := db.QueryRow("PRAGMA " + test.pragma).Scan(&value); err != nil || value != test.want {
				t.Errorf("%s%s: %s is %s, %v; want %s", test.written, test.query, test.pragma, value, err, test.want)
			}
		}
		if err := errors.Join(migrations.Close(), locks.Close()); err != nil {
			t.Error(err)
		}
	}
}

// golang-migrate creates a file with the percent signs in its name. parse reports that file and
// doesn't open a new one.
func TestParseNamesFileOfGolangMigrate(t *testing.T) {
	literal := filepath.Join(t.TempDir(), "a%20b.db")
	if err := os.WriteFile(literal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := parse("sqlite://" + literal); !errors.Is(err, dialect.ErrInvalid) ||
		!strings.Contains(err.Error(), literal) {
		t.Errorf("%v; want an error that names %s", err, literal)
	}
	if _, err := parse("sqlite://" + strings.ReplaceAll(literal, "%", "%25")); err != nil {
		t.Errorf("percent-encoded: %v", err)
	}
}

// The name of a version table is quoted, because golang-migrate doesn't quote it. Existing quotes
// are kept.
func TestVersionTable(t *testing.T) {
	for table, want := range map[string]string{
		"": "schema_migrations", "select": "select", "a.b": "a.b", "with space": "with space",
		`a"b`: `a"b`, "é": "é", `"Mine"`: "mine", "[x y]": "x y", "`z`": "z",
	} {
		driver, err := newDriver(table)
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "a.db"))
		if err != nil {
			t.Fatal(err)
		}
		made, quoted, err := driver.New(db)
		if err != nil {
			t.Errorf("%s: %v", table, err)
			continue
		}
		if err := made.SetVersion(7, true); err != nil {
			t.Errorf("%s: %v", table, err)
		}
		var version int
		if err := db.QueryRow("SELECT version FROM " + quoted).Scan(&version); err != nil || version != 7 {
			t.Errorf("%s: version %d, %v", table, version, err)
		}
		var name string
		err = db.QueryRow("SELECT lower(name) FROM sqlite_master WHERE type = 'table'").Scan(&name)
		if err != nil || name != want || driver.Name != want {
			t.Errorf("%s: the table %s, called %s, %v; want %s", table, name, driver.Name, err, want)
		}
		_ = made.Close()
	}
}
