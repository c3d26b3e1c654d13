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
	"github.com/sqllock/sqllock/sqllock/once"
)

const (
	payees = 3
	amount = 100
	ttl    = time.Second // how long after a host's death another one continues
)

// scheduled is the time of the payout in every host's schedule, whatever the host's clock shows.
var scheduled = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

// host runs the payout when it is due, or finds that another host has run it.
func host(ctx context.Context, name, job string, out io.Writer) error {
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
	for reported := false; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		ran, err := once.RunOccurrence(ctx, locks, job, scheduled, func(ctx context.Context, _ *sqllock.Lock) error {
			fmt.Fprintln(out, "runs the payout")
			return payout(ctx, database.DB, locks, job, name == doomed, out)
		})
		switch {
		case errors.Is(err, sqllock.ErrNotAcquired): // another host runs it; if that host dies, this one runs it
			if !reported {
				fmt.Fprintln(out, "waits: another host has the payout")
			}
			reported = true
			continue
		case err != nil:
			return err
		case ran:
			fmt.Fprintln(out, "is done with the payout")
		default:
			fmt.Fprintln(out, "has nothing to do: the payout has been run")
		}
		return nil
	}
	return context.Cause(ctx)
}

// payout pays each payee once.
func payout(ctx context.Context, db *sql.DB, locks *sqllock.Client, job string, hangs bool, out io.Writer) error {
	for payee := range payees {
		if err := ctx.Err(); err != nil { // another host may hold the lock by now
			return context.Cause(ctx)
		}
		if err := pay(ctx, db, locks, fmt.Sprintf("%s/%d", job, payee), payee, hangs && payee == 1, out); err != nil {
			return err
		}
	}
	return nil
}

func pay(
	ctx context.Context, db *sql.DB, locks *sqllock.Client, key string, payee int, hangs bool, out io.Writer,
) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	outcome, err := once.DoTx(ctx, locks, tx, key, func(ctx context.Context) ([]byte, error) {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(
			"INSERT INTO payment_transfers (payee, amount) VALUES (%d, %d)", payee, amount))
		return nil, err
	})
	if err != nil {
		return err
	}
	if hangs {
		fmt.Fprintf(out, "is about to commit that it pays payee %d\n", payee)
		<-ctx.Done()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if outcome.Replayed {
		fmt.Fprintf(out, "payee %d was paid before\n", payee)
	} else {
		fmt.Fprintf(out, "pays payee %d\n", payee)
	}
	return nil
}
