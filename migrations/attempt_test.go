package migrations_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sqllock/sqllock/migrations"
)

// application returns a Migrator of an application's migrations. texts are alternately the names
// and the texts of files.
func application(t *testing.T, url string, texts ...string) *migrations.Migrator {
	t.Helper()
	source := fstest.MapFS{}
	for i := 0; i < len(texts); i += 2 {
		source[texts[i]] = &fstest.MapFile{Data: []byte(texts[i+1])}
	}
	m, err := migrations.Application(source, engine, url, nil)
	must(t, err)
	return m
}

// A migration that fails leaves nothing behind, up and down, and its version isn't dirty.
func TestFailedMigrationLeavesNothing(t *testing.T) {
	file := newFile(t)
	m := application(t, "sqlite://"+file, "1_a.up.sql", "CREATE TABLE a (n INTEGER)", "1_a.down.sql",
		"DROP TABLE a; DROP TABLE nothing",
		"2_b.up.sql", "CREATE TABLE b (n INTEGER);\n\nINSERT INTO nothing VALUES (1);")
	want := func(done []migrations.Step, err error, file string, line int) {
		t.Helper()
		refused, ok := errors.AsType[*migrations.StatementError](err)
		if !ok || refused.File != file || refused.Line != line || refused.Dirty || refused.Version != 1 {
			t.Errorf("%v, %#v", done, err)
		}
		if at, dirty, err := m.Version(t.Context()); at != 1 || dirty || err != nil {
			t.Errorf("version %d, dirty %v, %v", at, dirty, err)
		}
	}
	done, err := m.Up(t.Context(), migrations.All)
	want(done, err, "2_b.up.sql", 3)
	done, err = m.Down(t.Context(), 1)
	want(done, err, "1_a.down.sql", 1)
	if got := ownTables.ReplaceAllString(tables(t, open(t, file)), ""); got != "a schema_migrations" {
		t.Errorf("tables are %s", got)
	}
}

// A file that ends its transaction can't be undone, and the error says so.
func TestMigrationEndsItsTransaction(t *testing.T) {
	m := application(t, "sqlite://"+newFile(t), "1_a.up.sql",
		"CREATE TABLE a (n INTEGER);\nCOMMIT;\nCREATE TABLE a (n INTEGER)")
	_, err := m.Up(t.Context(), migrations.All)
	refused, ok := errors.AsType[*migrations.StatementError](err)
	if !ok || !refused.Dirty || refused.Version != 1 || !strings.Contains(refused.Reason, "COMMIT in line 2") {
		t.Errorf("%#v", err)
	}
}

// Text that isn't UTF-8, in a file or in the server's message about it, leads to an ordinary error.
func TestTextIsNoUTF8(t *testing.T) {
	for _, text := range []string{
		"\xff", "\xff\xfeS\x00E\x00", "CREATE \xff\n\xff", "-- \xff\nSELECT * FROM \xc3(",
		"CREATE TABLE a\x00b (n INTEGER)",
	} {
		m := application(t, "sqlite://"+newFile(t), "1_a.up.sql", text)
		_, err := m.Up(t.Context(), migrations.All)
		if refused, ok := errors.AsType[*migrations.StatementError](err); !ok || refused.File != "1_a.up.sql" ||
			refused.Dirty {
			t.Errorf("%q: %#v", text, err)
		}
	}
}

// The record in the history exists if and only if the version does: if it can't be written, neither
// is recorded.
func TestRecordAndVersionTogether(t *testing.T) {
	for settings, wantDirty := range map[string]bool{"": false, "?x-no-tx-wrap=true": true} {
		file := newFile(t)
		m := application(t, "sqlite://"+file+settings, "1_a.up.sql", "CREATE TABLE a (n INTEGER)", "2_b.up.sql",
			"CREATE TABLE b (n INTEGER)")
		_, err := m.Up(t.Context(), 1)
		must(t, err)
		db := open(t, file)
		_, err = db.Exec("CREATE TRIGGER refuse BEFORE INSERT ON schema_migrations_history " +
			"BEGIN SELECT RAISE(ABORT, 'not today'); END")
		must(t, err)
		if steps, err := m.Up(t.Context(), 1); err == nil || len(steps) > 0 ||
			!strings.Contains(err.Error(), "not today") {
			t.Errorf("%s: %v, %v", settings, steps, err)
		}
		at, dirty, err := m.Version(t.Context())
		if want := map[bool]int{false: 1, true: 2}[wantDirty]; at != want || dirty != wantDirty || err != nil {
			t.Errorf("%s: version %d, %v, %v", settings, at, dirty, err)
		}
		if there := strings.Contains(" "+tables(t, db)+" ", " b "); there != wantDirty {
			t.Errorf("%s: the table is there: %v", settings, there)
		}
	}
}

// Drop keeps SQLite's own tables, quotes names, and copes with tables that a virtual table drops.
func TestDropOnSQLite(t *testing.T) {
	file := newFile(t)
	db := open(t, file)
	m := application(t, "sqlite://"+file+"?_pragma=foreign_keys(1)", "1_a.up.sql",
		`CREATE TABLE a (n INTEGER PRIMARY KEY AUTOINCREMENT);
		INSERT INTO a VALUES (1); CREATE TABLE "b "" c" (n INTEGER REFERENCES a); INSERT INTO "b "" c" VALUES (1);
		CREATE VIRTUAL TABLE words USING fts5(word); CREATE TABLE zz (n INTEGER);`)
	for range 2 {
		_, err := m.Up(t.Context(), migrations.All)
		must(t, err)
		must(t, m.Drop(t.Context()))
		if got := strings.TrimPrefix(tables(t, db), "sqlite_sequence"); got != "" {
			t.Errorf("tables are %s", got)
		}
	}
}
