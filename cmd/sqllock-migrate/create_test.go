package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCreate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	runSteps(t, []step{
		{"create -ext sql -dir " + folder + " -seq first", "", 0, filepath.Join(folder,
			"000001_first.up.sql") + "\n", ""},
		{"create -ext .sql -dir " + folder + " -seq -digits 3 second", "", 0, filepath.Join(folder,
			"002_second.down.sql") + "\n", ""},
		{"create -dir " + folder + " -seq -digits 0 third", "", 2, "", "--digits is 0"},
		{"create -dir " + folder + " -format 200601 third", "", 0, "_third.up.sql", ""},
		{"create -dir " + folder + " -format Monday third", "", 2, "", "must be a number"},
		{"create -dir " + folder + " -seq -format unix third", "", 2, "", "exclude each other"},
		{"create -dir " + folder + " -tz Nowhere/Land third", "", 2, "", "Nowhere/Land"},
		{"create -dir " + folder + " -ext . third", "", 2, "", "--ext is empty"},
		{"create --source " + folder + "/source fourth", "", 0, filepath.Join(folder, "source") + "/", ""},
		{"create -dir " + folder + " a/b", "", 2, "", `NAME is "a/b"`},
		{"create -dir " + folder + " -format unixNano last", "", 0, "_last.up.sql", ""},
		{"create -dir " + folder + " -seq last", "", 1, "", "more than 6 digits"},
		{"create -dir " + folder + " -ext sql~ third", "", 2, "", "--ext sql~"},
		{"create -dir " + folder + " -format 20060102150405000000000 third", "", 2, "", "a number up to"},
		{"create -dir " + folder + " -ext cql -seq -digits 20 third", "", 0, "_third.down.cql", ""},
	})
}

// Several processes that create migrations at the same time get different versions, without a gap.
func TestCreateAtOnce(t *testing.T) {
	const callers, rounds = 4, 25
	for range rounds {
		folder := t.TempDir()
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				code, stdout, stderr := command(t, "", "create", "-seq", "-dir", folder, fmt.Sprintf("by_%d", i))
				if code != 0 {
					t.Errorf("%d, %s%s", code, stdout, stderr)
				}
			})
		}
		group.Wait()
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var versions []string
		for _, entry := range entries {
			version, _, _ := strings.Cut(entry.Name(), "_")
			versions = append(versions, version)
		}
		want := []string{"000001", "000001", "000002", "000002", "000003", "000003", "000004", "000004"}
		if !slices.Equal(versions, want) {
			t.Fatalf("versions %q, want %q", versions, want)
		}
	}
}

// If two processes use the time as the version in the same second, one of them gets it.
func TestCreateAtTheSameTime(t *testing.T) {
	now := time.Date(2024, 3, 1, 23, 30, 0, 5, time.UTC)
	for range 25 {
		folder := t.TempDir()
		made := make([]int, 2)
		var group sync.WaitGroup
		for i := range made {
			group.Go(func() {
				n := newFiles{ext: "sql", dir: folder, format: "unix", zone: "UTC"}
				files, err := n.create(fmt.Sprintf("by_%d", i), now)
				if err != nil && !strings.Contains(err.Error(), "duplicate migration version") {
					t.Error(err)
				}
				made[i] = len(files)
			})
		}
		group.Wait()
		slices.Sort(made)
		if !slices.Equal(made, []int{0, 2}) {
			t.Fatalf("they created %d files, want 0 and 2", made)
		}
	}
}

// The marker file of a create that was killed doesn't keep others from creating migrations, and is
// reported.
func TestCreateAfterOneThatWasKilled(t *testing.T) {
	folder := t.TempDir()
	left := filepath.Join(folder, ".1.new")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runSteps(t, []step{{
		"create -seq -dir " + folder + " a", "", 0, "000002_a.up.sql",
		"skipped the version of " + left,
	}})
}

func TestCreateVersions(t *testing.T) {
	now := time.Date(2024, 3, 1, 23, 30, 0, 5, time.UTC)
	for _, test := range []struct {
		files newFiles
		want  string
	}{
		{newFiles{format: defaultFormat, zone: "UTC"}, "20240301233000"},
		{newFiles{format: defaultFormat, zone: "Europe/Berlin"}, "20240302003000"},
		{newFiles{format: "unix", zone: "UTC"}, "1709335800"},
		{newFiles{format: "unixNano", zone: "UTC"}, "1709335800000000005"},
		{newFiles{seq: true, digits: 4}, "0001"},
	} {
		test.files.dir, test.files.ext = t.TempDir(), "sql"
		made, err := test.files.create("name", now)
		if err != nil || len(made) != 2 {
			t.Errorf("%+v: %v, %v", test.files, made, err)
			continue
		}
		for i, direction := range []string{"up", "down"} {
			if got, want := filepath.Base(made[i]), test.want+"_name."+direction+".sql"; got != want {
				t.Errorf("%+v: made %s, want %s", test.files, got, want)
			}
			if text, err := os.ReadFile(made[i]); err != nil || len(text) != 0 {
				t.Errorf("%s: %q, %v", made[i], text, err)
			}
		}
		if test.files.seq {
			continue
		}
		if _, err := test.files.create("other", now); err == nil ||
			!strings.Contains(err.Error(), "duplicate migration version") {
			t.Errorf("%+v a second time: %v", test.files, err)
		}
	}
}
