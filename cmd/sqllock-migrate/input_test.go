package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

// oneFile returns the flags for a new database and a folder with one migration.
func oneFile(t *testing.T, text string) (flags, file string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "1_a.up.sql"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "a.db")
	return "-path " + folder + " -database sqlite://" + file + " ", file
}

func execute(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// golang-migrate's forms of a file URL.
func TestSourceURL(t *testing.T) {
	_ = inFolder(t, "")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	database := " -database sqlite://a.db "
	runSteps(t, []step{
		{"-source file:m" + database + "up", "", 0, "", "1/u users"},
		{"-source file:./m" + database + "version", "", 0, "1\n", ""},
		{"-source file:" + here + "/m" + database + "version", "", 0, "1\n", ""},
		{"-source file://" + here + "/m" + database + "version", "", 0, "1\n", ""},
		{"-source FILE://m" + database + "version", "", 0, "1\n", ""},
		{"-source file://./m" + database + "version", "", 0, "1\n", ""},
		{"-source m" + database + "version", "", 0, "1\n", ""},
		{"-source file:nowhere" + database + "version", "", 2, "", "nowhere: there is no such directory"},
		{"-source s3://m" + database + "version", "", 2, "", "not s3://"},
	})
}

// Whatever bytes a file contains, the database's error is reported like any other.
func TestFilesThatAreNoText(t *testing.T) {
	for text, part := range map[string]string{
		"\xff":                                       "Hint: the file isn't in UTF-8",
		"\xff\xfeC\x00R\x00":                         "Hint: the file is in UTF-16",
		"\xfe\xff\x00C\x00R":                         "Hint: the file is in UTF-16",
		"CREATE TABLE a (n INTEGER);\n\xc3":          "Hint: the file isn't in UTF-8",
		"S\x00E\x00":                                 "",
		"\ufeffCREATE TABEL b (n INTEGER)":           "Hint: the file begins with a byte-order mark",
		"BEGIN; CREATE TABLE a (n INTEGER); COMMIT;": "Hint: the file already runs in a transaction",
	} {
		flags, _ := oneFile(t, text)
		code, _, stderr := command(t, "", strings.Fields(flags+"up")...)
		if code != 1 && part != "" || code == 2 || !strings.Contains(stderr, part) {
			t.Errorf("%q: %d, %s; want %q", text, code, stderr, part)
		}
	}
}

// A version table that doesn't say which version the database is at stops every command but force.
func TestVersionTableWithSeveralRows(t *testing.T) {
	flags, file := oneFile(t, "CREATE TABLE a (n INTEGER)")
	runSteps(t, []step{{flags + "up", "", 0, "", "1/u a"}})
	for _, insert := range []string{
		"INSERT INTO schema_migrations VALUES (3, 0)", "UPDATE schema_migrations SET version = NULL",
		"UPDATE schema_migrations SET version = 'x'",
	} {
		execute(t, file, insert)
		runSteps(t, []step{
			{flags + "version", "", 1, "", `the version table "schema_migrations" has `},
			{flags + "status", "", 1, "", "record it with `sqllock-migrate force`"},
			{flags + "up", "", 1, "", "nothing was changed"},
			{flags + "goto 1", "", 1, "", "nothing was changed"},
			{flags + "force 1", "", 0, "", ""},
			{flags + "version", "", 0, "1\n", ""},
			{flags + "up", "", 0, "", "no change"},
		})
	}
}

// The same for sqllock's own version table: each error names the command for these tables.
func TestOwnVersionTableWithSeveralRows(t *testing.T) {
	_, file := oneFile(t, "")
	database := " --database sqlite://" + file
	runSteps(t, []step{{"own up" + database, "", 0, "", "1/u leases"}})
	execute(t, file, "UPDATE sqllock_schema_migrations SET dirty = 1")
	runSteps(t, []step{
		{"own up" + database, "", 3, "", "are now at with `sqllock-migrate own force` (force 8 if"},
		{
			"own status --exit-code" + database, "", 3, "8        held        dirty\n",
			"are now at with `sqllock-migrate own force` (force 8 if",
		},
	})
	execute(t, file, "INSERT INTO sqllock_schema_migrations VALUES (3, 0)")
	for _, command := range []string{"own version", "own status", "own up"} {
		runSteps(t, []step{{command + database, "", 1, "", "has 2 rows"}})
		runSteps(t, []step{{command + database, "", 1, "", "record it with `sqllock-migrate own force`"}})
	}
	opened, err := open.URL("sqlite://" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.DB.Close() }()
	if _, err := sqllock.New(t.Context(), opened.Dialect, nil); !errors.Is(err, sqllock.ErrSchema) ||
		!strings.Contains(err.Error(), "several rows") {
		t.Errorf("New: %v", err)
	}
	runSteps(t, []step{{"own force 8" + database, "", 0, "", ""}, {"own up" + database, "", 0, "", "no change"}})
}

func TestVersionTableNames(t *testing.T) {
	flags, file := oneFile(t, "CREATE TABLE a (n INTEGER)")
	for _, name := range []string{"select", "a.b", "with%20space", "a%22b"} {
		runSteps(t, []step{
			{strings.TrimSpace(flags) + "?x-migrations-table=" + name + " up", "", 0, "", "1/u a"},
			{strings.TrimSpace(flags) + "?x-migrations-table=" + name + " version", "", 0, "1\n", ""},
		})
		execute(t, file, "DROP TABLE a")
	}
}

// With a lock timeout of 0 there is one attempt.
func TestLockTimeoutZero(t *testing.T) {
	flags, file := oneFile(t, "CREATE TABLE a (n INTEGER)")
	runSteps(t, []step{
		{"own up --lock-timeout 0 --database sqlite://" + file, "", 0, "", "1/u leases"},
		{flags + "-lock-timeout 0 up", "", 0, "", "1/u a"},
		{flags + "-lock-timeout 0 version", "", 0, "1\n", ""},
	})
	database, err := open.URL("sqlite://" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.DB.Close() }()
	held, err := lock.Take(t.Context(), database.Dialect, &lock.Options{
		Kind: lock.Lease,
		Name: "migrations of schema_migrations", Holder: "other",
	})
	if err != nil {
		t.Fatal(err)
	}
	runSteps(t, []step{{flags + "-lock-timeout 0 up", "", 5, "", "another process holds the migration lock: other"}})
	if err := held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	runSteps(t, []step{{flags + "-lock-timeout 0 up", "", 0, "", "no change"}})
}

// If another process writes an SQLite file until the lock timeout, the database counts as locked
// and not as slow.
func TestLockTimeoutOfAFileThatIsWritten(t *testing.T) {
	flags, file := oneFile(t, "CREATE TABLE a (n INTEGER)")
	runSteps(t, []step{{flags + "up", "", 0, "", "1/u a"}})
	db, err := sql.Open("sqlite", file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	runSteps(t, []step{{flags + "-lock-timeout 1 up", "", 5, "", ""}})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func TestForceWithoutAFile(t *testing.T) {
	flags, file := oneFile(t, "CREATE TABLE a (n INTEGER)")
	runSteps(t, []step{
		{flags + "up", "", 0, "", "1/u a"},
		{flags + "force 999", "", 0, "", "warning: there is no migration of version 999"},
		{flags + "version", "", 0, "999\n", ""},
		{flags + "force --json 998", "", 0, `"warnings": [`, ""},
	})
	if code, _, stderr := command(t, "", strings.Fields(flags+"force -1")...); code != 0 || stderr != "" {
		t.Errorf("force -1: %d, %s", code, stderr)
	}
	execute(t, file, "INSERT INTO schema_migrations VALUES (-1, 1)")
	runSteps(t, []step{{flags + "status", "", 0, "pending", "dirty at no version"}, {flags + "up", "", 3, "", "dirty"}})
}
