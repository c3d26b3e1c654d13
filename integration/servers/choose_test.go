package servers

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestOneOfEachKind(t *testing.T) {
	all := func(string) bool { return true }
	runs := map[string]int{}
	pairs := map[string]bool{}
	for i := range 200 {
		test := fmt.Sprintf("TestNumber%d/part", i)
		got := oneOfEachKind(test, Engines, all)
		if len(got) != 4 || got[0] != "sqlite" || got[3] != "sqlserver" {
			t.Fatalf("%s runs on %q; want SQLite, one PostgreSQL, MySQL or MariaDB, SQL Server", test, got)
		}
		if again := oneOfEachKind(test, Engines, all); !slices.Equal(got, again) {
			t.Errorf("%s runs on %q, and then on %q", test, got, again)
		}
		for _, engine := range got {
			runs[engine]++
		}
		pairs[got[1]+" "+got[2]] = true
	}
	for _, kind := range kinds {
		for _, engine := range kind {
			if runs[engine] < 60 {
				t.Errorf("%d of 200 tests run on %s; want about half of them", runs[engine], engine)
			}
		}
	}
	if len(pairs) != 4 {
		t.Errorf("tests run on the pairs %v; want each PostgreSQL with each of MySQL and MariaDB", pairs)
	}
}

func TestChosenEngines(t *testing.T) {
	defer func(was io.Writer) { loud = was }(loud)
	for _, c := range []struct{ list, want, outcome string }{
		{"", "sqlite,postgres15,postgres18", ""},
		{"postgres18", "postgres18", ""},
		{"postgres18,sqlite", "sqlite,postgres18", ""},
		{"mysql", "", "skip"},
		{"postgres-18", "", "fatal"},
	} {
		t.Setenv("SQLLOCK_TEST_ENGINES", c.list)
		var stderr bytes.Buffer
		loud = &stderr
		tb, got := &recorder{TB: t}, []string(nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			got = chosenEngines(tb, []string{"sqlite", "postgres15", "postgres18"})
		}()
		if <-done; strings.Join(got, ",") != c.want || tb.outcome != c.outcome {
			t.Errorf("SQLLOCK_TEST_ENGINES=%q: %q, %s; want %s, %s", c.list, got, tb.outcome, c.want, c.outcome)
		}
		if skipped := strings.Contains(stderr.String(), "SKIPPED"); skipped != (c.outcome == "skip") {
			t.Errorf("SQLLOCK_TEST_ENGINES=%q: stderr has %q", c.list, &stderr)
		}
	}
	t.Setenv("SQLLOCK_TEST_ENGINES", "mysql,postgres18")
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if got := OneOfEachKind(t, Engines...); !slices.Equal(got, []string{"postgres18", "mysql"}) {
				t.Errorf("with one engine of each kind chosen, the test runs on %q", got)
			}
		})
	}
}

// A test runs on an engine of the kind if any is available.
func TestOneOfEachKindAtHand(t *testing.T) {
	only15 := func(engine string) bool { return engine == "postgres15" }
	none := func(string) bool { return false }
	for i := range 20 {
		test := fmt.Sprintf("TestNumber%d", i)
		got := oneOfEachKind(test, []string{"postgres15", "postgres18"}, only15)
		if !slices.Equal(got, []string{"postgres15"}) {
			t.Errorf("with only PostgreSQL 15 available, %s runs on %q", test, got)
		}
		if got := oneOfEachKind(test, []string{"mysql"}, none); !slices.Equal(got, []string{"mysql"}) {
			t.Errorf("a test of MySQL alone runs on %q", got)
		}
	}
}
