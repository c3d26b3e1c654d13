package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the demo start this test binary as its gateways.
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
	for _, part := range []string{"KILLED", "never more than 3 at once, none refused"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the output doesn't contain %q", part)
		}
	}
}
