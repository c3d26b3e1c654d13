package servers

import (
	"fmt"
	"slices"
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
