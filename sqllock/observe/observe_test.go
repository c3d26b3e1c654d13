package observe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/sqllock/observe"
)

func ExampleNameGroup() {
	for _, name := range []string{"report/nightly", "order-4711", "invoice:2026-03-01", "scheduler"} {
		fmt.Println(observe.NameGroup(name))
	}
	// Output:
	// report
	// order-*
	// invoice:*
	// scheduler
}

func TestNameGroup(t *testing.T) {
	for name, want := range map[string]string{
		"":                                     "",
		"/a":                                   "",
		"a/b/c":                                "a",
		"import":                               "import",
		"v2 import":                            "v* import",
		"123e4567-e89b-12d3-a456-426614174000": "*",
		"user:123e4567-e89b-12d3-a456-426614174000:mail": "user:*:mail",
		"deadbeefdeadbeef":               "*",
		"build-3f9ac1d0":                 "build-*",
		"3f9a":                           "*",
		"job_01J9ZK4V7Q8W2N5X0B3D6F9H1M": "job_*",
		"10.1.2.3":                       "*.*.*.*",
		"größe-12":                       "größe-*",
		"a1b":                            "a*b",
		"faced":                          "faced",
	} {
		if got := observe.NameGroup(name); got != want {
			t.Errorf("NameGroup(%q) = %q; want %q", name, got, want)
		}
	}
}

// A group is no longer than its name, and has neither digits nor slashes.
func FuzzNameGroup(f *testing.F) {
	f.Add("user:123e4567-e89b-12d3-a456-426614174000:mail")
	f.Add("a1-2-b")
	f.Fuzz(func(t *testing.T, name string) {
		group := observe.NameGroup(name)
		if len(group) > len(name) || strings.ContainsAny(group, "0123456789/") {
			t.Errorf("NameGroup(%q) = %q", name, group)
		}
	})
}

func TestGroupsAreLimited(t *testing.T) {
	groups := observe.Groups{Of: func(name string) string { return name }, Max: 2}
	groups.Add("b")
	var got []string
	for _, name := range []string{"a", "c", "b", "a", "d"} {
		got = append(got, groups.Group(name))
	}
	if want := []string{"a", observe.Other, "b", "a", observe.Other}; !slices.Equal(got, want) {
		t.Errorf("groups %q; want %q", got, want)
	}
}
