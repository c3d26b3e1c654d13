package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/examples/internal/show"
	"github.com/sqllock/sqllock/sqllock"
)

// play is the show: a leader is killed, and another replaced.
func play(ctx context.Context, out io.Writer) (err error) {
	s, err := show.Open(ctx, out, "DROP TABLE IF EXISTS demo_mails",
		"CREATE TABLE demo_mails (mail BIGINT NOT NULL, term BIGINT NOT NULL)")
	if err != nil {
		return err
	}
	defer s.Close()
	locks, err := sqllock.New(ctx, s.DB.Dialect, &sqllock.Options{Holder: "operator", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)

	s.Say("The show", fmt.Sprintf("three processes, one works; TTL %s", ttl))
	old := map[string]bool{"worker 1": true, "worker 2": true, "worker 3": true}
	for name := range old {
		if err := s.Start(name, "worker", name); err != nil {
			return err
		}
	}
	first, err := s.Until(ctx, "LEADS")
	if err == nil {
		_, err = s.Until(ctx, "sent mail 3")
	}
	if err == nil {
		err = s.Kill(ctx, first.Who)
	}
	if err != nil {
		return err
	}
	delete(old, first.Who)
	killed := time.Now()
	second, err := s.Until(ctx, "LEADS")
	if err != nil {
		return err
	}
	s.Say("The show", fmt.Sprintf("the killed one's lease had to run out first: that took %.1f s", time.Since(killed).Seconds()))
	if _, err = s.Until(ctx, "sent mail"); err != nil {
		return err
	}
	if err := deploy(ctx, s, locks, second.Who, old); err != nil {
		return err
	}
	return prove(ctx, s)
}

// deploy replaces the old version: the new one first stands in line, the old processes that wait end, and then the leader is
// asked to hand over. Nobody's lease has to run out for that.
func deploy(ctx context.Context, s *show.Show, locks *sqllock.Client, leader string, old map[string]bool) error {
	s.Say("The show", "a new version is deployed")
	const fresh = "version 2"
	if err := s.Start(fresh, "worker", fresh); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "is ready"); err != nil {
		return err
	}
	for name := range old {
		if name != leader {
			if err := s.Stop(ctx, name); err != nil {
				return err
			}
		}
	}
	election, err := locks.Election(electionName)
	if err != nil {
		return err
	}
	asked := time.Now()
	s.Say("The show", leader+" is asked to hand over")
	if err := election.HandOver(ctx); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "LEADS"); err != nil {
		return err
	}
	s.Say("The show", fmt.Sprintf("the new version leads %.1f s after that: no lease had to run out", time.Since(asked).Seconds()))
	if err := s.Stop(ctx, leader); err != nil {
		return err
	}
	if _, err := s.Until(ctx, "sent mail"); err != nil {
		return err
	}
	return s.Stop(ctx, fresh)
}

// prove reads what was sent: each mail once, none left out, and by one leader after the other.
func prove(ctx context.Context, s *show.Show) error {
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
