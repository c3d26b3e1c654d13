//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the demo start this test binary as its workers.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestDemo(t *testing.T) {
	t.Setenv("SQLLOCK_DATABASE_URL", "")
	var out strings.Builder
	err := run(t.Context(), nil, &out)
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
		{id: 1, worker: 1, job: 5, fence: 10, balance: 5},
		{id: 2, previous: 1, worker: 2, job: 1, fence: 11, balance: 6},
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
			append(good[:2:2], entry{id: 2, previous: 1, worker: 3, job: 1, fence: 12, balance: 6}),
			reported(job{1, 5}, job{2, 1}, job{3, 1}),
			job{},
			"overlap",
		},
		"an older fence writes later": {
			append(good[:1:1], entry{id: 2, previous: 1, worker: 2, job: 1, fence: 9, balance: 6}),
			reported(job{1, 5}, job{2, 1}),
			job{},
			"fence",
		},
		"a line is missing":   {good[:1], reported(job{1, 5}, job{2, 1}), job{}, "lost"},
		"a line is unwanted":  {good, reported(job{1, 5}), job{}, "0 times"},
		"a job is done twice": {good, reported(job{1, 5}, job{2, 1}, job{2, 1}), job{}, "2 times"},
		"the balance is off": {
			append(good[:1:1], entry{id: 2, previous: 1, worker: 2, job: 1, fence: 11, balance: 1}),
			reported(job{1, 5}, job{2, 1}),
			job{},
			"balance",
		},
	} {
		t.Run(what, func(t *testing.T) {
			l, err := createLedger(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "ledger.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			tx, err := l.db.BeginTx(t.Context(), nil)
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
			err = l.prove(t.Context(), report{wrote: test.wrote, maybe: test.maybe}, io.Discard)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("prove = %v; want an error with %q", err, test.want)
			}
		})
	}
}

func TestUnknownArguments(t *testing.T) {
	err := run(t.Context(), []string{"wroker", "1"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "wroker") {
		t.Errorf("run = %v; want an error that names the argument", err)
	}
}
