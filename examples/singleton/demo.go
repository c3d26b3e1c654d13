package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
)

// runDemo runs the demo: one leader is killed, and another one is replaced.
func runDemo(ctx context.Context, out io.Writer) (err error) {
	s, err := demo.Open(ctx, out, "DROP TABLE IF EXISTS demo_mails",
		"CREATE TABLE demo_mails (mail BIGINT NOT NULL, term BIGINT NOT NULL)")
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

	s.Say("The demo", fmt.Sprintf("three processes, one works; TTL %s", ttl))
	old := map[string]bool{"worker 1": true, "worker 2": true, "worker 3": true}
	for name := range old {
		if err := s.Start(name, "worker", name); err != nil {
			return err
		}
	}
	first, err := s.KillAt(ctx, "sent mail 3")
	if err != nil {
		return err
	}
	delete(old, first.Name)
	killed := time.Now()
	second, err := s.Until(ctx, "LEADS")
	if err != nil {
		return err
	}
	s.Say("The demo", fmt.Sprintf("the killed leader's lease had to expire first: that took %.1f s",
		time.Since(killed).Seconds()))
	if _, err = s.Until(ctx, "sent mail"); err != nil {
		return err
	}
	if err := deploy(ctx, s, locks, second.Name, old); err != nil {
		return err
	}
	return prove(ctx, s)
}

// deploy replaces the old version: the new process waits in the queue, the leader is asked to hand
// over to it, and then the old processes end. No lease has to expire for that, and none of the old
// processes leads in between, although they waited before.
func deploy(ctx context.Context, s *demo.Demo, locks *sqllock.Client, leader string, old map[string]bool) error {
	s.Say("The demo", "a new version is deployed")
	const fresh = "version 2"
	if err := s.Start(fresh, "worker", fresh); err != nil {
		return err
	}
	e, err := election.New(locks, electionName)
	if err != nil {
		return err
	}
	if _, err := s.Until(ctx, "waits to lead"); err != nil {
		return err
	}
	asked := time.Now()
	s.Say("The demo", leader+" is asked to hand over to "+fresh)
	if err := e.HandOverTo(ctx, fresh); err != nil {
		return err
	}
	next, err := s.Until(ctx, "LEADS")
	if err != nil {
		return err
	}
	if next.Name != fresh {
		return fmt.Errorf("%s leads after the hand-over to %s", next.Name, fresh)
	}
	s.Say("The demo", fmt.Sprintf("the new version leads %.1f s after that: no lease had to expire",
		time.Since(asked).Seconds()))
	for name := range old {
		if err := s.Stop(ctx, name); err != nil {
			return err
		}
	}
	if _, err := s.Until(ctx, "sent mail"); err != nil {
		return err
	}
	return s.Stop(ctx, fresh)
}

// prove checks the mails: each was sent once, none is missing, and the leaders sent them one after
// the other.
func prove(ctx context.Context, s *demo.Demo) error {
	rows, err := s.DB.DB.QueryContext(ctx, "SELECT mail, term FROM demo_mails ORDER BY mail, term")
	if err != nil {
		return err
	}
	defer rows.Close()
	var mails, before, terms int64
	for rows.Next() {
		var mail, term int64
		if err := rows.Scan(&mail, &term); err != nil {
			return err
		}
		if mail != mails+1 || term < before {
			return fmt.Errorf("mail %d of term %d comes after mail %d of term %d", mail, term, mails, before)
		}
		if term > before {
			terms++
		}
		mails, before = mail, term
	}
	if err := rows.Err(); err != nil {
		return err
	}
	s.Say("The proof", fmt.Sprintf("%d mails, each sent once, by %d leaders one after the other", mails, terms))
	return nil
}
