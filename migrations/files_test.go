package migrations_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations"
)

func folder(names ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, name := range names {
		files[name] = &fstest.MapFile{Data: []byte("SELECT 1")}
	}
	return files
}

// Files that can't be applied under their version, or probably weren't meant to be, are refused by
// name before the database is accessed.
func TestFilesThatAreRefused(t *testing.T) {
	for name, part := range map[string]string{
		"9223372036854775808_a.up.sql":    "too great", // 2^63
		"18446744073709551615_a.up.sql":   "too great", // 2^64 - 1
		"18446744073709551616_a.up.sql":   "too great", // 2^64
		"18446744073709551616_a.down.sql": "too great",
		"2_b.up.sql~":                     "a copy of a migration",
		"2_b.down.sql.orig":               "a copy of a migration",
		"2_b.up.bak":                      "a copy of a migration",
		"2_b.up.sql.TMP":                  "a copy of a migration",
		"2_b.up.sql (copy)":               "a copy of a migration",
		"2_b.up.sql.20260101":             "a copy of a migration",
		"2_b.up.sql#":                     "a copy of a migration",
		"01_b.up.sql":                     "1_a.up.sql are both version 1",
	} {
		_, err := migrations.Application(folder("1_a.up.sql", name), engine, "sqlite://"+newFile(t), nil)
		if !errors.Is(err, dialect.ErrInvalid) || !strings.Contains(err.Error(), name) ||
			!strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want an error with %q", name, err, part)
		}
	}
}

func TestFilesThatAreTaken(t *testing.T) {
	files := folder("9223372036854775807_a.up.sql", "2_b.up.mysql.sql", "3_c.up.cql", "4_d.up.", "5_e.up.sql.up.sql",
		"README.md", ".2_b.up.sql.swp", "notes_2.up.sql")
	m, err := migrations.Application(files, engine, "sqlite://"+newFile(t), nil)
	must(t, err)
	var versions []uint
	for _, f := range m.Files() {
		versions = append(versions, f.Version)
	}
	if want := []uint{2, 3, 4, 5, migrations.MaxVersion}; !slices.Equal(versions, want) {
		t.Errorf("versions %d, want %d", versions, want)
	}
	_, err = m.Up(t.Context(), migrations.All)
	must(t, err)
	if at, dirty, err := m.Version(t.Context()); at != migrations.MaxVersion || dirty || err != nil {
		t.Errorf("version %d, %v, %v; want %d", at, dirty, err, migrations.MaxVersion)
	}
}

// golang-migrate itself has applied a file of version 2^63, so the version table contains a
// negative number.
func TestWrappedVersion(t *testing.T) {
	file := newFile(t)
	m, err := migrations.Application(folder("1_a.up.sql", "2_b.up.sql"), engine, "sqlite://"+file, nil)
	must(t, err)
	_, err = m.Up(t.Context(), 1)
	must(t, err)
	_, err = open(t, file).Exec("UPDATE schema_migrations SET version = -9223372036854775808")
	must(t, err)
	_, upErr := m.Up(t.Context(), migrations.All)
	_, _, versionErr := m.Version(t.Context())
	for what, err := range map[string]error{"up": upErr, "version": versionErr} {
		if err == nil || !strings.Contains(err.Error(), "-9223372036854775808, which is no version") {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, m.Force(t.Context(), 1))
	steps, err := m.Up(t.Context(), migrations.All)
	if err != nil || len(steps) != 1 || steps[0].Version != 2 {
		t.Errorf("after force: %v, %v", steps, err)
	}
}

// The files of a version's two directions may have different names.
func TestStepNames(t *testing.T) {
	files := folder("2_aaa.up.sql", "2_zzz.down.sql", "3_zzz.up.sql", "3_aaa.down.sql", "4_only.up.sql",
		"5_way.down.sql")
	var steps []string
	m, err := migrations.Application(files, engine, "sqlite://"+newFile(t), &migrations.Options{
		Progress: func(s migrations.Step) { steps = append(steps, s.String()+" "+s.Name) },
	})
	must(t, err)
	_, err = m.Up(t.Context(), migrations.All)
	must(t, err)
	_, err = m.Down(t.Context(), migrations.All)
	must(t, err)
	want := []string{
		"2/u aaa aaa", "3/u zzz zzz", "4/u only only", "5/u <empty> way",
		"5/d way way", "4/d <empty> only", "3/d aaa aaa", "2/d zzz zzz",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("%q, want %q", steps, want)
	}
	var names []string
	for _, f := range m.Files() {
		names = append(names, f.Name)
	}
	if want := []string{"aaa", "zzz", "only", "way"}; !slices.Equal(names, want) {
		t.Errorf("the files are called %q, want %q", names, want)
	}
}
