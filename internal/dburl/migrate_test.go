package dburl

import "testing"

func TestCutMigrate(t *testing.T) {
	for raw, want := range map[string][2]string{
		"sqlite://a.db":                                        {"sqlite://a.db", ""},
		"sqlite://a.db?x-migrations-table=mine":                {"sqlite://a.db", "x-migrations-table=mine"},
		"mysql://u:p@tcp(h:1)/d?x-no-lock=true&timeout=3s":     {"mysql://u:p@tcp(h:1)/d?timeout=3s", "x-no-lock=true"},
		"postgres://u@h/d?a=b&x-migrations-table=%22a%22&c=%2": {"postgres://u@h/d?a=b&c=%2", "x-migrations-table=%22a%22"},
		"postgres://u@h/d?x-a=%zz":                             {"postgres://u@h/d?x-a=%zz", ""},
		"postgres://u:x-p?x@h/d":                               {"postgres://u:x-p?x@h/d", ""},
	} {
		rest, settings := CutMigrate(raw)
		if rest != want[0] || settings.Encode() != want[1] {
			t.Errorf("%s: %s, %s; want %s", raw, rest, settings.Encode(), want)
		}
	}
}
