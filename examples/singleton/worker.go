package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/examples/internal/show"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	electionName = "demo/mailer"
	ttl          = 3 * time.Second
)

// work is one worker's life: it waits until it leads, works while it leads, and begins again when it has lost that, until it
// is told to end.
func work(ctx context.Context, name string, out io.Writer) error {
	database, err := show.Database()
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
	election, err := locks.Election(electionName)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "is ready")
	err = election.Run(ctx, func(ctx context.Context, term *sqllock.Term) error {
		fmt.Fprintln(out, "LEADS, and works")
		return sendMails(ctx, database.DB, term, out)
	})
	if errors.Is(err, sqllock.ErrNotAcquired) { // told to end while it waited
		err = nil
	}
	fmt.Fprintln(out, "has ended")
	return err
}

// sendMails works until ctx ends: it finishes what it is at, and returns; only then does another worker lead.
func sendMails(ctx context.Context, db *sql.DB, term *sqllock.Term, out io.Writer) error {
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

// sendMail writes down the next mail as sent. Guard sees to it that nobody else leads before that is committed, however long
// this process is paused meanwhile.
func sendMail(ctx context.Context, db *sql.DB, term *sqllock.Term) (number int64, err error) {
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
	_, err = tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO demo_mails (mail, term) VALUES (%d, %d)", number, term.Number()))
	if err != nil {
		return 0, err
	}
	if err := term.Guard(ctx, tx); err != nil {
		return 0, err
	}
	return number, tx.Commit()
}
