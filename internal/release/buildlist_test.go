package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Neither package sqllock nor its module needs what the adapters need.
func TestCoreNeedsNoAdapter(t *testing.T) {
	dir := filepath.Join("..", "..", "sqllock")
	for _, args := range [][]string{{"list", "-m", "all"}, {"list", "-deps", "./..."}} {
		list, err := output(dir, []string{"GOWORK=off"}, "go", args...)
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.SplitSeq(list, "\n") {
			for _, part := range []string{"prometheus", "opentelemetry", "gocron"} {
				if strings.Contains(name, part) {
					t.Errorf("go %s: sqllock needs %s", strings.Join(args, " "), name)
				}
			}
		}
		if !strings.Contains(list, "sqllock/dialect") {
			t.Errorf("go %s: the list lacks what sqllock does need:\n%s", strings.Join(args, " "), list)
		}
	}
}
