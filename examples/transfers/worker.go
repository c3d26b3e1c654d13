//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sqllock/sqllock/examples/internal/show"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	accounts = 4
	ttl      = 2 * time.Second
)

// work is one worker's life: transfers between accounts at random, until ctx ends.
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
	for ctx.Err() == nil {
		pair := rand.Perm(accounts)
		err := transfer(ctx, database.DB, locks, pair[0]+1, pair[1]+1, out)
		switch {
		case errors.Is(err, sqllock.ErrLost): // nothing was written
			fmt.Fprintln(out, "REFUSED:", err)
		case err != nil && ctx.Err() == nil:
			return err
		}
		time.Sleep(rand.N(100 * time.Millisecond)) // there is no order between processes: let others have a go
	}
	fmt.Fprintln(out, "has ended")
	return nil
}

// transfer moves some of what is on one account to another, under the locks of both. Whether two transfers name them in another
// order doesn't matter: AcquireAll has an order of its own.
func transfer(ctx context.Context, db *sql.DB, locks *sqllock.Client, from, to int, out io.Writer) error {
	set, err := locks.AcquireAll(ctx, []string{lockName(from), lockName(to)})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // told to end, it finishes what it is at
	defer set.Release(ctx)           //nolint:errcheck // one that was lost by then is no longer ours to release
	fmt.Fprintf(out, "HOLDS accounts %d and %d\n", from, to)
	giver, err := newest(ctx, db, from)
	if err != nil {
		return err
	}
	taker, err := newest(ctx, db, to)
	if err != nil {
		return err
	}
	amount := giver.balance / 4

	// It never looks at set.Context() here: it stands for a program that was paused just before its write.
	time.Sleep(200*time.Millisecond + rand.N(100*time.Millisecond))

	err = write(ctx, db, set,
		giver.next(-amount, set.Lock(lockName(from)).Fence()), taker.next(amount, set.Lock(lockName(to)).Fence()))
	if err == nil {
		fmt.Fprintf(out, "MOVED %d from account %d to account %d\n", amount, from, to)
	}
	return err
}

// write writes both entries, or none. Guard sees to it that nobody else gets either lock before that is committed, however long
// this process is paused meanwhile, and refuses if somebody had.
func write(ctx context.Context, db *sql.DB, set *sqllock.Set, entries ...entry) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, e := range entries {
		if err := e.add(ctx, tx); err != nil {
			return err
		}
	}
	if err := set.Guard(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

func lockName(account int) string { return fmt.Sprintf("demo/account/%d", account) }
