package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the demo start this test binary as its consumers.
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
	if err := runDemo(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var got []string // without the time
	for line := range strings.Lines(out.String()) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), " s  ")
		got = append(got, text)
	}
	want := []string{
		"consumer 1  message 1  handled",
		"consumer 1  is right before the commit of message 2",
		"consumer 1  KILLED with kill -9",
		"consumer 2  message 2  handled",
		"consumer 2  message 1  delivered again: it was handled before",
		"consumer 2  is right after the commit of message 1",
		"consumer 2  KILLED with kill -9",
		"consumer 3  message 1  delivered again: it was handled before",
		"consumer 3  message 3  handled",
		"The proof   3 messages, 3 effects, balance 60: nothing lost, nothing done twice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the output is\n%s\nwant\n%s", out.String(), strings.Join(want, "\n"))
	}
}
