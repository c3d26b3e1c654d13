package migrations_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sqllock/sqllock/migrations"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		files fstest.MapFS
		want  []string // file, severity, and a part of the message
	}{
		"nothing":  {tableFiles(1, 2, 3), nil},
		"up alone": {folder("1_a.up.sql", "2_b.up.sql"), nil},
		"others": {
			folder("1_a.up.sql", "README.md", "seed.sql", "data/1_x.up.sql", ".gitignore"), nil,
		},
		"directory": {folder("1_a.up.sql", "2_b.up.sql/c.sql"), []string{"2_b.up.sql warning it is a directory"}},
		"by file": {
			fstest.MapFS{"1_a.up.sql": {}, "2_b.up.sql": {}, "3_c.up.sql": {}, "3_c.down.sql": {}, "4_d.down.sql": {}},
			[]string{
				"1_a.up.sql warning empty", "1_a.up.sql warning takes version 1 back", "2_b.up.sql warning empty",
				"2_b.up.sql warning takes version 2 back",
				"3_c.down.sql warning empty", "3_c.up.sql warning empty", "4_d.down.sql warning empty",
				"4_d.down.sql warning leads up to version 4",
			},
		},
		"empty folder": {fstest.MapFS{}, []string{". fatal there is no migration"}},
		"names": {
			folder("1_a.up.sql", "01_b.up.sql", "2_b.up.sql~", "9223372036854775808_c.up.sql", "3-c.up.sql",
				"4_d.sql", "V5__e.sql", "f.down.sql"),
			[]string{
				"1_a.up.sql fatal 01_b.up.sql is version 1, too", "2_b.up.sql~ fatal a copy",
				"3-c.up.sql warning ignored",
				"4_d.sql warning ignored", "9223372036854775808_c.up.sql fatal too great", "V5__e.sql warning ignored",
				"f.down.sql warning ignored",
			},
		},
		"pairs": {
			folder("1_a.up.sql", "1_A.down.sql", "2_b.up.sql", "3_c.down.sql", "4_d.up.sql", "4_x.down.sql"),
			[]string{
				"2_b.up.sql warning takes version 2 back", "3_c.down.sql warning leads up to version 3",
				"4_x.down.sql warning another name than 4_d.up.sql",
			},
		},
		"texts": {
			fstest.MapFS{
				"1_a.up.sql": {Data: []byte("\ufeffSELECT 1")}, "2_a.up.sql": {Data: []byte("\xff\xfeS\x00")},
				"3_a.up.sql": {Data: []byte("\xe9")},
				"4_a.up.sql": {Data: []byte(" \r\n")}, "5_a.up.sql": {Data: []byte("SELECT 'a\x00'")},
				"6_a.up.sql": {Data: []byte("SELECT 1;\n<<<<<<< HEAD\nSELECT 2;")},
				"7_a.up.sql": {Data: []byte("<<<<<<< HEAD\nSELECT 2;")},
			},
			[]string{
				"1_a.up.sql warning byte-order mark", "2_a.up.sql fatal UTF-16",
				"3_a.up.sql warning isn't UTF-8, from byte 0", "4_a.up.sql warning empty",
				"5_a.up.sql warning zero byte", "6_a.up.sql fatal merge conflict", "7_a.up.sql fatal merge conflict",
			},
		},
	} {
		problems, err := migrations.Validate(test.files)
		must(t, err)
		var got []string
		for _, p := range problems {
			severity := "warning"
			if p.Fatal {
				severity = "fatal"
			}
			got = append(got, p.File+" "+severity+" "+p.Message)
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
			continue
		}
		for i, want := range test.want {
			file, part, _ := strings.Cut(want, " ")
			severity, part, _ := strings.Cut(part, " ")
			if !strings.HasPrefix(got[i], file+" "+severity+" ") || !strings.Contains(got[i], part) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
	if _, err := migrations.Validate(emptyFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
