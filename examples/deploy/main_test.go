package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the demo start this test binary as its pipelines.
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
		"waits for build 1, https://ci.example/builds/1", "SKIPS: a newer build is deployed already: build 3",
		"KILLED", "builds [1 3 5]",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the output doesn't contain %q", part)
		}
	}
}

func TestBuildIsANumber(t *testing.T) {
	err := program.Run(t.Context(), []string{"build", "one"}, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), `"one"`) {
		t.Errorf("build one: %v; want an error that names it", err)
	}
}
