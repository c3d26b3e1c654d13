package demo

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

// TestMain lets a demo start this test binary as its processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "quick" {
		fmt.Fprintln(os.Stdout, "is quick")
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "idle" {
		fmt.Fprintln(os.Stdout, "is idle")
		time.Sleep(time.Hour)
		return
	}
	os.Exit(m.Run())
}

func newDemo(t *testing.T) *Demo {
	t.Helper()
	t.Setenv(urlEnv, "")
	s, err := Open(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The end of a process is remembered if it is seen while the demo waits for another process.
func TestWaitInAnyOrder(t *testing.T) {
	s := newDemo(t)
	for _, name := range []string{"a", "b"} {
		if err := s.Start(name, "quick"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // both have ended
		if _, err := s.until(t.Context(), "an end", func(o output) bool { return o.ended }); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b", "a"} {
		if err := s.Wait(t.Context(), name); err != nil {
			t.Errorf("Wait(%s) = %v", name, err)
		}
	}
}
