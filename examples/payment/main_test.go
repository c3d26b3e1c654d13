package main

import (
	"os"
	"strings"
	"testing"
)

// TestMain lets the demo start this test binary as its hosts.
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
	for part, want := range map[string]int{
		"runs the payout": 2, "KILLED": 1, "  pays payee 0": 1, "  pays payee 1": 1, "payee 0 was paid before": 1,
		"  pays payee 2": 1, "is done with the payout": 1, "has nothing to do": 1,
		"3 payees, 3 transfers, 300 paid: each once": 1,
	} {
		if n := strings.Count(out.String(), part); n != want {
			t.Errorf("the output contains %[2]q %[1]d times, want %[3]d", n, part, want)
		}
	}
}
