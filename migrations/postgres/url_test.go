package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The server receives every value exactly as it was written, whatever characters it has.
func TestCutKeepsValues(t *testing.T) {
	for value, want := range map[string]string{
		"-c%20role%3Dadm": "-c role=adm", "a+b": "a+b", "a%2Bb": "a+b", "a%26b%23c": "a&b#c", "a#b": "a#b",
		"%C3%A9": "é", "é": "é",
		"%25": "%", "nothere,%20public": "nothere, public", "'": "'",
	} {
		for _, url := range []string{
			"postgres://u:p+w%25@h1:1,h2:2/d?options=" + value,
			"pgx5://u:p+w%25@h1:1,h2:2/d?x-migrations-table=t&options=" + value + "&binary_parameters=yes",
			"pgx://u:p+w%25@h1:1,h2:2/d?options=" + value + "&x-multi-statement=true&",
		} {
			rest, _, err := cut(url)
			if err != nil {
				t.Errorf("%s: %v", url, err)
				continue
			}
			config, err := pgx.ParseConfig(rest)
			if err != nil {
				t.Errorf("%s became %s: %v", url, rest, err)
				continue
			}
			if got := config.RuntimeParams["options"]; got != want || config.Password != "p+w%" ||
				config.Port != 1 || len(config.Fallbacks) == 0 {
				t.Errorf("%s became %s: options %q, password %q, port %d", url, rest, got, config.Password, config.Port)
			}
			if len(config.RuntimeParams) != 1 || config.DefaultQueryExecMode != pgx.QueryExecModeExec {
				t.Errorf("%s became %s: %v", url, rest, config.RuntimeParams)
			}
		}
	}
}

// The database's name is part of golang-migrate's lock.
func TestPath(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u@h/d": "/d", "postgres://u@h/": "/", "postgres://u@h": "", "postgres://h?dbname=/d": "",
		"postgres:///a%20b?c=d/e": "/a b",
		"postgres://u:p?a@h/d":    "/d", "postgres://h/d?a=u@h/e": "/d",
	} {
		if got := path(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("postgres://u:p@h/d?x-migrations-table=t&a=b")
	f.Add("pgx5://?x-a&&=%zz@/")
	f.Fuzz(func(t *testing.T, url string) {
		settings, err := parse(url)
		if err == nil && (settings.Name == "" || strings.ContainsRune(settings.Name, 0)) {
			t.Errorf("%q: version table %q", url, settings.Name)
		}
	})
}
