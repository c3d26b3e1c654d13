package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/election"
)

const (
	electionName = "demo/mailer"
	ttl          = 3 * time.Second
)

// work runs one worker until ctx ends: it waits until it leads, works while it leads, and campaigns
// again when it has lost the lead.
func work(ctx context.Context, name string, out io.Writer) error {
	database, err := demo.OpenDatabase()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, &sqllock.Options{
		TTL: ttl, Holder: name, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	e, err := election.New(locks, electionName, election.OnQueued(func() { fmt.Fprintln(out, "waits to lead") }))
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "is ready")
	err = e.Run(ctx, func(ctx context.Context, term *election.Term) error {
		fmt.Fprintln(out, "LEADS, and works")
		return sendMails(ctx, database.DB, term, out)
	})
	fmt.Fprintln(out, "has ended")
	return err
}

// sendMails works until ctx ends. It then finishes the current mail and returns; only then can
// another worker lead.
func sendMails(ctx context.Context, db *sql.DB, term *election.Term, out io.Writer) error {
	for tick := time.NewTicker(300 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "stops:", context.Cause(ctx))
			return nil
		case <-tick.C:
		}
		number, err := sendMail(context.WithoutCancel(ctx), db, term)
		switch {
		case errors.Is(err, sqllock.ErrLost): // ctx ends
		case err != nil:
			return err
		default:
			fmt.Fprintln(out, "sent mail", number)
		}
	}
}

// sendMail records the next mail as sent. Guard ensures that no other worker leads before that is
// committed, however long this process is paused.
func sendMail(ctx context.Context, db *sql.DB, term *election.Term) (number int64, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, "SELECT MAX(mail) FROM demo_mails").Scan(&last); err != nil {
		return 0, err
	}
	number = last.Int64 + 1
	_, err = tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO demo_mails (mail, term) VALUES (%d, %d)",
		number, term.Number()))
	if err != nil {
		return 0, err
	}
	if err := term.Guard(ctx, tx); err != nil {
		return 0, err
	}
	return number, tx.Commit()
}
