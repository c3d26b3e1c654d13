//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sqllock/sqllock/examples/internal/show"
)

// play is the show: one process is frozen while it holds two accounts, and goes on when others have moved money there.
func play(ctx context.Context, out io.Writer) error {
	s, err := show.Open(ctx, out, tables()...)
	if err != nil {
		return err
	}
	defer s.Close()
	workers := []string{"worker 1", "worker 2", "worker 3", "worker 4"}
	s.Say("The show", fmt.Sprintf("%d processes, %d accounts with %d each; TTL %s", len(workers), accounts, initial, ttl))
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
		if _, err := prove(ctx, s.DB.DB); err != nil { // it was let through
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
func moved(ctx context.Context, s *show.Show, n int) error {
	for range n {
		if _, err := s.Until(ctx, "MOVED"); err != nil {
			return err
		}
	}
	return nil
}

// freeze freezes a holder, waits until others have moved money on both its accounts, and lets it go on. It tells whether the late
// write was refused: if not, the signal may have come after it.
func freeze(ctx context.Context, s *show.Show) (refused bool, err error) {
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
		if _, err := s.UntilLine(ctx, "a transfer of "+name, func(l show.Line) bool {
			return strings.HasPrefix(l.Text, "MOVED") && strings.Contains(l.Text, name)
		}); err != nil {
			return false, err
		}
	}
	s.Say("The show", fmt.Sprintf("accounts %d and %d are others' %.1f s later; %s is THAWED, and goes on to write",
		a, b, time.Since(from).Seconds(), frozen.Who))
	if err := s.Thaw(frozen.Who); err != nil {
		return false, err
	}
	fate, err := s.UntilLine(ctx, "what became of the late write", func(l show.Line) bool { return l.Who == frozen.Who })
	return strings.HasPrefix(fate.Text, "REFUSED"), err
}
