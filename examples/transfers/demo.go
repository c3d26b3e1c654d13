//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// runDemo runs the demo: one process is frozen while it holds two accounts, and continues after
// others have moved money there.
func runDemo(ctx context.Context, out io.Writer) error {
	s, err := demo.Open(ctx, out, tables()...)
	if err != nil {
		return err
	}
	defer s.Close()
	workers := []string{"worker 1", "worker 2", "worker 3", "worker 4"}
	s.Say("The demo", fmt.Sprintf("%d processes, %d accounts with %d each; TTL %s",
		len(workers), accounts, initial, ttl))
	for _, name := range workers {
		if err := s.Start(name, "worker", name); err != nil {
			return err
		}
	}
	if err := moved(ctx, s, 5); err != nil {
		return err
	}
	for refused := false; !refused; {
		if refused, err = freeze(ctx, s); err != nil {
			return err
		}
		if _, err := prove(ctx, s.DB.DB); err != nil { // the late write was not refused
			return err
		}
	}
	if err := moved(ctx, s, 5); err != nil {
		return err
	}
	if err := s.Stop(ctx, workers...); err != nil {
		return err
	}
	proof, err := prove(ctx, s.DB.DB)
	if err == nil {
		s.Say("The proof", proof)
	}
	return err
}

// moved waits for n more transfers.
func moved(ctx context.Context, s *demo.Demo, n int) error {
	for range n {
		if _, err := s.Until(ctx, "MOVED"); err != nil {
			return err
		}
	}
	return nil
}

// freeze freezes a holder, waits until others have moved money on both its accounts, and thaws it.
// It reports whether the late write was refused. If it wasn't, the signal may have arrived after
// the write.
func freeze(ctx context.Context, s *demo.Demo) (refused bool, err error) {
	frozen, err := s.FreezeAt(ctx, "HOLDS")
	if err != nil {
		return false, err
	}
	from := time.Now()
	var a, b int
	if _, err := fmt.Sscanf(frozen.Text, "HOLDS accounts %d and %d", &a, &b); err != nil {
		return false, err
	}
	for _, account := range []int{a, b} {
		name := fmt.Sprintf("account %d", account)
		if _, err := s.UntilLine(ctx, "a transfer of "+name, func(l demo.Line) bool {
			return strings.HasPrefix(l.Text, "MOVED") && strings.Contains(l.Text, name)
		}); err != nil {
			return false, err
		}
	}
	s.Say("The demo", fmt.Sprintf("others have moved money on accounts %d and %d within %.1f s; %s is THAWED, and "+
		"continues to write",
		a, b, time.Since(from).Seconds(), frozen.Name))
	if err := s.Thaw(frozen.Name); err != nil {
		return false, err
	}
	outcome, err := s.UntilLine(ctx, "the outcome of the late write",
		func(l demo.Line) bool { return l.Name == frozen.Name })
	return strings.HasPrefix(outcome.Text, "REFUSED"), err
}
