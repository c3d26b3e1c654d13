//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// report is what the workers have reported of their writes.
type report struct {
	wrote map[job]int // how often each job was reported as written
	maybe job         // the killed worker's job, which may or may not have been written
}

// runDemo runs the demo: one holder is killed, and another one is frozen and continues after others
// have taken over.
func runDemo(ctx context.Context, out io.Writer) error {
	s, err := demo.Open(ctx, out, tables...)
	if err != nil {
		return err
	}
	defer s.Close()
	reported := report{wrote: make(map[job]int)}
	latest := make(map[string]job) // of each worker
	s.OnLine = func(l demo.Line) {
		switch e := parse(l); e.what {
		case holds:
			latest[l.Name] = e.job
		case wrote:
			reported.wrote[e.job]++
		}
	}

	s.Say("The demo", fmt.Sprintf("four processes, one lock %q with a TTL of %s, one ledger", lockName, ttl))
	var workers []string
	for id := 1; id <= 4; id++ {
		name := fmt.Sprint("worker ", id)
		if err := s.Start(name, "worker", strconv.Itoa(id)); err != nil {
			return err
		}
		workers = append(workers, name)
	}
	if err := lines(ctx, s, 5); err != nil {
		return err
	}

	victim, err := s.KillAt(ctx, holds)
	if err != nil {
		return err
	}
	reported.maybe = latest[victim.Name]
	if err := takeover(ctx, s, victim); err != nil {
		return err
	}
	if err := lines(ctx, s, 3); err != nil {
		return err
	}

	if err := frozenWriter(ctx, s); err != nil {
		return err
	}
	if err := lines(ctx, s, 3); err != nil {
		return err
	}

	s.Say("The demo", "ends; the workers finish their jobs")
	workers = slices.DeleteFunc(workers, func(name string) bool { return name == victim.Name })
	if err := s.Stop(ctx, workers...); err != nil {
		return err
	}
	return prove(ctx, s.DB.DB, reported, out)
}

// lines waits until n more lines are written.
func lines(ctx context.Context, s *demo.Demo, n int) error {
	for range n {
		if _, err := s.Until(ctx, wrote); err != nil {
			return err
		}
	}
	return nil
}

// frozenWriter freezes a holder, lets another worker take over, and resumes the first one, whose
// write is refused. It starts over if the signal arrived after the write.
func frozenWriter(ctx context.Context, s *demo.Demo) error {
	for {
		frozen, err := s.FreezeAt(ctx, holds)
		if err != nil {
			return err
		}
		if err := takeover(ctx, s, frozen); err != nil {
			return err
		}
		if err := lines(ctx, s, 2); err != nil {
			return err
		}
		early, err := has(ctx, s.DB.DB, parse(frozen).fence)
		if err != nil {
			return err
		}
		s.Say(frozen.Name, "RESUMED: it continues to write as if nothing had happened")
		if err := s.Thaw(frozen.Name); err != nil {
			return err
		}
		outcome, err := s.UntilLine(ctx, "the outcome of the late write",
			func(l demo.Line) bool { return l.Name == frozen.Name })
		switch {
		case err != nil || strings.HasPrefix(outcome.Text, refused):
			return err
		case !early:
			return fmt.Errorf("%s was not refused after others had taken over: it %s", outcome.Name, outcome.Text)
		}
		s.Say(frozen.Name, "had written before it was frozen; once more")
	}
}

// takeover waits for the next holder after one that was killed or frozen.
func takeover(ctx context.Context, s *demo.Demo, down demo.Line) error {
	from := time.Now()
	next, err := s.UntilLine(ctx, "a takeover", func(l demo.Line) bool {
		return l.Name != down.Name && strings.HasPrefix(l.Text, holds)
	})
	if err == nil {
		s.Say(next.Name, fmt.Sprintf("TOOK OVER from %s, whose lease expired: %.1f s, TTL %s; the fence grew by %d",
			down.Name, time.Since(from).Seconds(), ttl, parse(next).fence-parse(down).fence))
	}
	return err
}
