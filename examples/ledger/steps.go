//go:build unix

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
)

// runDemo runs the demo.
func (s *ledgerDemo) runDemo(ctx context.Context) (report, error) {
	s.say("The demo", fmt.Sprintf("four processes, one lock %q with a TTL of %s, one ledger", lockName, ttl))
	for id := int64(1); id <= 4; id++ {
		if err := s.start(ctx, id); err != nil {
			return report{}, err
		}
	}
	if err := s.lines(ctx, 5); err != nil {
		return report{}, err
	}

	victim, err := s.killHolder(ctx)
	if err != nil {
		return report{}, err
	}
	if err := s.takeover(ctx, victim); err != nil {
		return report{}, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return report{}, err
	}

	if err := s.frozenWriter(ctx); err != nil {
		return report{}, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return report{}, err
	}
	s.say("The demo", "ends; the workers finish their jobs")
	err = s.finish(ctx)
	return report{wrote: s.wrote, maybe: job{victim.Worker, s.last[victim.Worker] + 1}}, err
}

// frozenWriter freezes a holder, lets another worker take over, and resumes the first one, whose
// write is refused. It starts over if the signal arrived at the wrong moment.
func (s *ledgerDemo) frozenWriter(ctx context.Context) error {
	for {
		frozen, err := s.freezeHolder(ctx)
		if err != nil {
			return err
		}
		if !demo.Writable(ctx, s.ledger.db) {
			s.say(name(frozen.Worker), "was frozen in the middle of a write, which blocks all others on SQLite; "+
				"once more")
			if err := s.thaw(frozen); err != nil {
				return err
			}
			continue
		}
		if err := s.takeover(ctx, frozen); err != nil {
			return err
		}
		if err := s.lines(ctx, 2); err != nil {
			return err
		}
		early, err := s.ledger.has(ctx, frozen.Fence)
		if err != nil {
			return err
		}
		s.say(name(frozen.Worker), "RESUMED: it continues to write as if nothing had happened")
		if err := s.thaw(frozen); err != nil {
			return err
		}
		e, err := s.until(ctx, "the outcome of the late write", func(e event) bool {
			return e.Fence == frozen.Fence && (e.What == refused || e.What == wrote)
		})
		switch {
		case err != nil || e.What == refused:
			return err
		case !early:
			return fmt.Errorf("worker %d wrote its line after others had taken over", frozen.Worker)
		}
		s.say(name(frozen.Worker), "had written before it was frozen; once more")
	}
}

func (s *ledgerDemo) thaw(frozen event) error {
	return s.workers[frozen.Worker].Process.Signal(syscall.SIGCONT)
}

// killHolder kills the next worker that takes the lock.
func (s *ledgerDemo) killHolder(ctx context.Context) (event, error) {
	e, err := s.holder(ctx)
	if err != nil {
		return e, err
	}
	if err := s.workers[e.Worker].Process.Kill(); err != nil {
		return e, err
	}
	_ = s.workers[e.Worker].Wait() // returns "signal: killed", as intended
	delete(s.workers, e.Worker)
	s.say(name(e.Worker), "KILLED with kill -9 while it holds the lock")
	return e, nil
}

// freezeHolder freezes the next worker that takes the lock.
func (s *ledgerDemo) freezeHolder(ctx context.Context) (event, error) {
	e, err := s.holder(ctx)
	if err != nil {
		return e, err
	}
	if err := demo.Freeze(s.workers[e.Worker].Process); err != nil {
		return e, err
	}
	s.say(name(e.Worker), "FROZEN with SIGSTOP while it holds the lock")
	return e, nil
}

func (s *ledgerDemo) holder(ctx context.Context) (event, error) {
	return s.until(ctx, "a holder", func(e event) bool { return e.What == holds })
}

// takeover waits for the next holder after one that was killed or frozen.
func (s *ledgerDemo) takeover(ctx context.Context, down event) error {
	from := time.Now()
	e, err := s.until(ctx, "a takeover", func(e event) bool {
		return e.What == holds && e.Worker != down.Worker
	})
	if err == nil {
		s.say(name(e.Worker), fmt.Sprintf("TOOK OVER from %s, whose lease expired: %.1f s, TTL %s; the fence grew "+
			"by %d",
			name(down.Worker), time.Since(from).Seconds(), ttl, e.Fence-down.Fence))
	}
	return err
}

// lines waits until n more lines are written.
func (s *ledgerDemo) lines(ctx context.Context, n int) error {
	_, err := s.until(ctx, "more lines", func(e event) bool {
		if e.What == wrote {
			n--
		}
		return n <= 0
	})
	return err
}
