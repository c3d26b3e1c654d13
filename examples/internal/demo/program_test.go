package demo_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

func TestProgram(t *testing.T) {
	var ran []string
	p := demo.Program{
		Name: "example",
		Demo: func(context.Context, io.Writer) error { ran = append(ran, "demo"); return nil },
		Parts: map[string]demo.Part{"worker": {Args: 1, Run: func(_ context.Context, args []string, _ io.Writer) error {
			ran = append(ran, "worker "+strings.Join(args, " "))
			return nil
		}}},
	}
	for _, args := range [][]string{nil, {"worker", "7"}} {
		if err := p.Run(t.Context(), args, io.Discard); err != nil {
			t.Errorf("Run(%q): %v", args, err)
		}
	}
	if got := strings.Join(ran, ", "); got != "demo, worker 7" {
		t.Errorf("ran %s", got)
	}
	for _, args := range [][]string{{"wroker", "1"}, {"worker"}, {"worker", "1", "2"}} {
		if err := p.Run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("Run(%q) = %v; want an error that names the arguments", args, err)
		}
		if p.IsPart(args) {
			t.Errorf("%q is a part", args)
		}
	}
}
