//go:build unix

package main

import (
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
	for _, part := range []string{"FROZEN", "THAWED", "REFUSED", "the total is 400 as before"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the output doesn't contain %q", part)
		}
	}
}

// TestProofCanFail breaks each promise that the proof checks.
func TestProofCanFail(t *testing.T) {
	for what, test := range map[string]struct {
		entries []entry
		want    string // empty if the proof holds
	}{
		"good": {[]entry{{1, 2, -5, 95, 10}, {2, 2, 5, 105, 7}}, ""},
		"one line twice": {
			[]entry{{1, 2, -5, 95, 10}, {2, 2, 5, 105, 7}, {1, 2, -9, 91, 11}, {3, 2, 9, 109, 9}},
			"continue",
		},
		"the balance is off": {[]entry{{1, 2, -5, 94, 10}, {2, 2, 5, 105, 7}}, "continue"},
		"an older fence": {
			[]entry{{1, 2, -5, 95, 10}, {2, 2, 5, 105, 7}, {1, 3, -5, 90, 9}, {2, 3, 5, 110, 8}},
			"fence",
		},
		"the same fence": {
			[]entry{{1, 2, -5, 95, 10}, {2, 2, 5, 105, 7}, {1, 3, -5, 90, 10}, {2, 3, 5, 110, 8}},
			"fence",
		},
		"one side is missing": {[]entry{{1, 2, -5, 95, 10}}, "total"},
	} {
		t.Run(what, func(t *testing.T) {
			database, err := open.URL("sqlite://" + filepath.Join(t.TempDir(), "book.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer database.DB.Close()
			statements := tables()
			for _, e := range test.entries {
				statements = append(statements, e.insert())
			}
			for _, statement := range statements {
				if _, err := database.DB.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			_, err = prove(t.Context(), database.DB)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("prove = %v; want an error with %q", err, test.want)
			}
		})
	}
}
