package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
)

// deployDemo is the demo, with a client that reads the gate's queue.
type deployDemo struct {
	*demo.Demo
	locks *sqllock.Client
}

// runDemo runs the demo.
func runDemo(ctx context.Context, out io.Writer) (err error) {
	s, err := demo.Open(ctx, out,
		"DROP TABLE IF EXISTS demo_machines", "DROP TABLE IF EXISTS demo_deployed", "DROP TABLE IF EXISTS demo_deploys",
		"CREATE TABLE demo_machines (build BIGINT NOT NULL)", "INSERT INTO demo_machines (build) VALUES (0)",
		"CREATE TABLE demo_deployed (build BIGINT NOT NULL)", "INSERT INTO demo_deployed (build) VALUES (0)",
		"CREATE TABLE demo_deploys (build BIGINT NOT NULL, fence BIGINT NOT NULL)")
	if err != nil {
		return err
	}
	defer s.Close()
	locks, err := sqllock.New(ctx, s.DB.Dialect, &sqllock.Options{
		Holder: "operator", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	d := deployDemo{s, locks}
	if err := d.inOrder(ctx); err != nil {
		return err
	}
	if err := d.killed(ctx); err != nil {
		return err
	}
	return prove(ctx, s)
}

func name(build int64) string { return "build " + strconv.FormatInt(build, 10) }

func (s deployDemo) build(n int64) error { return s.Start(name(n), "build", strconv.FormatInt(n, 10)) }

// inOrder starts three builds, the second of them late.
func (s deployDemo) inOrder(ctx context.Context) error {
	s.Say("The demo", "build 1 deploys; build 3 comes, and then build 2, whose tests took longer")
	if err := s.build(1); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "ENTERS"); err != nil {
		return err
	}
	for _, n := range []int64{3, 2} {
		if err := s.build(n); err != nil {
			return err
		}
		if err := s.queued(ctx, name(n)); err != nil {
			return err
		}
	}
	if err := s.installed(ctx, 3); err != nil {
		return err
	}
	return s.Wait(ctx, name(2))
}

// installed ends the roll-outs up to that build.
func (s deployDemo) installed(ctx context.Context, build int64) error {
	_, err := s.DB.DB.ExecContext(ctx, fmt.Sprintf("UPDATE demo_machines SET build = %d", build))
	return err
}

// queued waits until the holder is in the queue.
func (s deployDemo) queued(ctx context.Context, holder string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		queue, err := s.locks.Queue(ctx, gateName)
		if err != nil || slices.ContainsFunc(queue, func(w sqllock.Waiter) bool { return w.Holder == holder }) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// killed kills a pipeline while it holds the gate.
func (s deployDemo) killed(ctx context.Context) error {
	if err := s.build(4); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "ENTERS"); err != nil {
		return err
	}
	if err := s.build(5); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "waits"); err != nil {
		return err
	}
	if err := s.Kill(ctx, name(4)); err != nil {
		return err
	}
	from := time.Now()
	if _, err := s.Until(ctx, "ENTERS"); err != nil {
		return err
	}
	s.Say("The demo", fmt.Sprintf("the killed pipeline's lease had to expire first: that took %.1f s, the TTL is %s",
		time.Since(from).Seconds(), ttl))
	if err := s.installed(ctx, 5); err != nil {
		return err
	}
	return s.Wait(ctx, name(5))
}

// prove checks what was deployed: by the fences of the gate, no older build came after a newer one.
func prove(ctx context.Context, s *demo.Demo) error {
	rows, err := s.DB.DB.QueryContext(ctx, "SELECT build, fence FROM demo_deploys ORDER BY fence")
	if err != nil {
		return err
	}
	defer rows.Close()
	var builds []int64
	for rows.Next() {
		var build, fence int64
		if err := rows.Scan(&build, &fence); err != nil {
			return err
		}
		builds = append(builds, build)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if !slices.Equal(builds, []int64{1, 3, 5}) {
		return fmt.Errorf("deployed, by the order of their fences: builds %v; want 1, 3, 5", builds)
	}
	s.Say("The proof", fmt.Sprintf("deployed in this order, one at a time: builds %v", builds))
	return nil
}
