//go:build unix

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// play is the show.
func (s *stage) play(ctx context.Context) (told, error) {
	s.say("The show", fmt.Sprintf("four processes, one lock %q with a TTL of %s, one ledger", lockName, ttl))
	for id := int64(1); id <= 4; id++ {
		if err := s.start(ctx, id); err != nil {
			return told{}, err
		}
	}
	if err := s.lines(ctx, 5); err != nil {
		return told{}, err
	}

	victim, err := s.strike(ctx, syscall.SIGKILL, "KILLED with kill -9 while it holds the lock")
	if err != nil {
		return told{}, err
	}
	if err := s.takeover(ctx, victim); err != nil {
		return told{}, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return told{}, err
	}

	if err := s.frozenWriter(ctx); err != nil {
		return told{}, err
	}
	if err := s.lines(ctx, 3); err != nil {
		return told{}, err
	}
	s.say("The show", "ends; the workers may finish what they are at")
	err = s.finish(ctx)
	return told{wrote: s.wrote, maybe: job{victim.Worker, s.last[victim.Worker] + 1}}, err
}

// frozenWriter freezes a holder, lets another take over, and resumes the first, whose write is refused. It begins
// again if the signal hit at the wrong moment.
func (s *stage) frozenWriter(ctx context.Context) error {
	for {
		frozen, err := s.strike(ctx, syscall.SIGSTOP, "FROZEN with SIGSTOP while it holds the lock")
		if err != nil {
			return err
		}
		if !s.ledger.writable(ctx) {
			s.say(name(frozen.Worker), "was frozen in the middle of a write, which on SQLite bars everybody; once more")
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
		s.say(name(frozen.Worker), "RESUMED: it goes on to write as if nothing had happened")
		if err := s.thaw(frozen); err != nil {
			return err
		}
		e, err := s.until(ctx, "what became of the late write", func(e event) bool {
			return e.Fence == frozen.Fence && (e.What == refused || e.What == wrote)
		})
		if err != nil || e.What == refused {
			return err
		}
		s.say(name(frozen.Worker), "had written before it was frozen; once more")
	}
}

func (s *stage) thaw(frozen event) error {
	return s.workers[frozen.Worker].Process.Signal(syscall.SIGCONT)
}

// strike sends a signal to the next worker that takes the lock.
func (s *stage) strike(ctx context.Context, sig syscall.Signal, what string) (event, error) {
	e, err := s.until(ctx, "a holder", func(e event) bool { return e.What == holds })
	if err != nil {
		return e, err
	}
	if err := s.workers[e.Worker].Process.Signal(sig); err != nil {
		return e, err
	}
	if sig == syscall.SIGKILL {
		_ = s.workers[e.Worker].Wait() // says "killed", which is what was asked for
		delete(s.workers, e.Worker)
	}
	s.say(name(e.Worker), what)
	return e, nil
}

// takeover waits for the next holder after one that was struck down.
func (s *stage) takeover(ctx context.Context, down event) error {
	from := time.Now()
	e, err := s.until(ctx, "a takeover", func(e event) bool { return e.What == holds && e.Worker != down.Worker })
	if err == nil {
		s.say(name(e.Worker), fmt.Sprintf("TOOK OVER from %s, whose lease ran out: %.1f s, TTL %s; the fence grew by %d",
			name(down.Worker), time.Since(from).Seconds(), ttl, e.Fence-down.Fence))
	}
	return err
}

// lines waits until n more lines are written.
func (s *stage) lines(ctx context.Context, n int) error {
	_, err := s.until(ctx, "more lines", func(e event) bool {
		if e.What == wrote {
			n--
		}
		return n <= 0
	})
	return err
}
