//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/open"
)

// TestMain lets the demo start this test binary as its workers.
func TestMain(m *testing.M) {
	if program.IsPart(os.Args[1:]) {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	t.Setenv("SQLLOCK_DATABASE_URL", "")
	var out strings.Builder
	err := runDemo(t.Context(), &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"KILLED", "FROZEN", "TOOK OVER", "RESUMED", "REFUSED by Guard", "The ledger's proof",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the output doesn't contain %q", part)
		}
	}
}

// TestProofCanFail breaks each promise that the proof checks.
func TestProofCanFail(t *testing.T) {
	good := []entry{
		{id: 1, job: job{1, 5}, fence: 10, balance: 5},
		{id: 2, previous: 1, job: job{2, 1}, fence: 11, balance: 6},
	}
	reported := func(jobs ...job) map[job]int {
		m := make(map[job]int)
		for _, j := range jobs {
			m[j]++
		}
		return m
	}
	for what, test := range map[string]struct {
		entries []entry
		wrote   map[job]int
		maybe   job
		want    string // empty if the proof holds
	}{
		"good":                       {good, reported(job{1, 5}, job{2, 1}), job{}, ""},
		"the killed one had written": {good, reported(job{1, 5}), job{2, 1}, ""},
		"two lines continue the same one": {
			append(good[:2:2], entry{id: 2, previous: 1, job: job{3, 1}, fence: 12, balance: 6}),
			reported(job{1, 5}, job{2, 1}, job{3, 1}),
			job{},
			"overlap",
		},
		"an older fence writes later": {
			append(good[:1:1], entry{id: 2, previous: 1, job: job{2, 1}, fence: 9, balance: 6}),
			reported(job{1, 5}, job{2, 1}),
			job{},
			"fence",
		},
		"a line is missing":   {good[:1], reported(job{1, 5}, job{2, 1}), job{}, "lost"},
		"a line is unwanted":  {good, reported(job{1, 5}), job{}, "0 times"},
		"a job is done twice": {good, reported(job{1, 5}, job{2, 1}, job{2, 1}), job{}, "2 times"},
		"the balance is off": {
			append(good[:1:1], entry{id: 2, previous: 1, job: job{2, 1}, fence: 11, balance: 1}),
			reported(job{1, 5}, job{2, 1}),
			job{},
			"balance",
		},
	} {
		t.Run(what, func(t *testing.T) {
			database, err := open.URL("sqlite://" + filepath.Join(t.TempDir(), "ledger.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer database.DB.Close()
			for _, statement := range tables {
				if _, err := database.DB.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			tx, err := database.DB.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range test.entries {
				if err := e.add(t.Context(), tx); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			err = prove(t.Context(), database.DB, report{wrote: test.wrote, maybe: test.maybe}, io.Discard)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("prove = %v; want an error with %q", err, test.want)
			}
		})
	}
}
