package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/sqllock/sqllock/examples/internal/show"
	"github.com/sqllock/sqllock/sqllock"
)

// The steps of its second message at which a consumer can be told to hang, until it is killed.
const (
	beforeCommit = "is right before the commit"
	afterCommit  = "is right after the commit"
)

// consume takes what is not acknowledged, in order, until nothing is left.
func consume(ctx context.Context, queue, crash string, out io.Writer) error {
	database, err := show.Database()
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
		var place, message int64
		err := database.DB.QueryRowContext(ctx, "SELECT place, message FROM consumer_queue WHERE place = "+
			"(SELECT MIN(place) FROM consumer_queue WHERE acknowledged = 0)").Scan(&place, &message)
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
		_, err = database.DB.ExecContext(ctx, fmt.Sprintf("UPDATE consumer_queue SET acknowledged = 1 WHERE place = %d", place))
		if err != nil {
			return err
		}
	}
}

// handle does what a message is for, once, however often it comes.
func handle(ctx context.Context, db *sql.DB, locks *sqllock.Client, queue string, message int64, at func(step string),
	out io.Writer,
) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	key := fmt.Sprintf("%s/%d", queue, message)
	outcome, err := locks.OnceTx(ctx, tx, key, func(ctx context.Context, tx *sql.Tx) ([]byte, error) {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(
			"INSERT INTO consumer_effects (message, amount) VALUES (%d, %d)", message, 10*message))
		return nil, err
	})
	if err != nil {
		return err // rolled back, nothing is remembered: the queue delivers it again
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
