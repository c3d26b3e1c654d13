package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCreate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "folder")
	play(t, []step{
		{"create -ext sql -dir " + folder + " -seq first", "", 0, filepath.Join(folder, "000001_first.up.sql") + "\n", ""},
		{"create -ext .sql -dir " + folder + " -seq -digits 3 second", "", 0, filepath.Join(folder, "002_second.down.sql") + "\n", ""},
		{"create -dir " + folder + " -seq -digits 0 third", "", 2, "", "--digits is 0"},
		{"create -dir " + folder + " -format 2 third", "", 0, "_third.up.sql", ""},
		{"create -dir " + folder + " -format Monday third", "", 2, "", "must be a number"},
		{"create -dir " + folder + " -seq -format unix third", "", 2, "", "exclude each other"},
		{"create -dir " + folder + " -tz Nowhere/Land third", "", 2, "", "Nowhere/Land"},
		{"create -dir " + folder + " -ext . third", "", 2, "", "--ext is empty"},
		{"create --source " + folder + "/source fourth", "", 0, filepath.Join(folder, "source") + "/", ""},
		{"create -dir " + folder + " a/b", "", 2, "", `NAME is "a/b"`},
		{"create -dir " + folder + " -format unixNano last", "", 0, "_last.up.sql", ""},
		{"create -dir " + folder + " -seq last", "", 1, "", "more than 6 digits"},
	})
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
		if _, err := test.files.create("other", now); err == nil || !strings.Contains(err.Error(), "duplicate migration version") {
			t.Errorf("%+v a second time: %v", test.files, err)
		}
	}
}
