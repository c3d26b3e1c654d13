package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// The steps of a consumer's second message at which it hangs on request, until it is killed.
const (
	beforeCommit = "is right before the commit"
	afterCommit  = "is right after the commit"
)

// consume handles the messages that are not acknowledged, in order, until none is left.
func consume(ctx context.Context, queue, crash string, out io.Writer) error {
	database, err := demo.OpenDatabase()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, nil)
	if err != nil {
		return err
	}
	defer locks.Close(ctx)
	for handled := 1; ; handled++ {
		var number, message int64
		err := database.DB.QueryRowContext(ctx, "SELECT number, message FROM consumer_queue WHERE number = "+
			"(SELECT MIN(number) FROM consumer_queue WHERE acknowledged = 0)").Scan(&number, &message)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		at := func(step string) {
			if handled == 2 && step == crash {
				fmt.Fprintf(out, "%s of message %d\n", step, message)
				<-ctx.Done()
			}
		}
		if err := handle(ctx, database.DB, locks, queue, message, at, out); err != nil {
			return err
		}
		at(afterCommit)
		_, err = database.DB.ExecContext(ctx, fmt.Sprintf(
			"UPDATE consumer_queue SET acknowledged = 1 WHERE number = %d", number))
		if err != nil {
			return err
		}
	}
}

// handle has the effect of a message once, however often the message is delivered.
func handle(ctx context.Context, db *sql.DB, locks *sqllock.Client, queue string, message int64, at func(step string),
	out io.Writer,
) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	key := fmt.Sprintf("%s/%d", queue, message)
	outcome, err := once.DoTx(ctx, locks, tx, key, func(ctx context.Context) ([]byte, error) {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(
			"INSERT INTO consumer_effects (message, amount) VALUES (%d, %d)", message, 10*message))
		return nil, err
	})
	if err != nil {
		return err // rolled back, so nothing is remembered and the queue delivers the message again
	}
	at(beforeCommit)
	if err := tx.Commit(); err != nil {
		return err
	}
	if outcome.Replayed {
		fmt.Fprintf(out, "message %d  delivered again: it was handled before\n", message)
	} else {
		fmt.Fprintf(out, "message %d  handled\n", message)
	}
	return nil
}
