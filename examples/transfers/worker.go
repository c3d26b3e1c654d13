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

	"github.com/sqllock/sqllock/examples/internal/demo"
	"github.com/sqllock/sqllock/sqllock"
)

const (
	accounts = 4
	ttl      = 2 * time.Second
)

// work runs one worker: it makes transfers between random accounts until ctx ends.
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
	for ctx.Err() == nil {
		pair := rand.Perm(accounts)
		err := transfer(ctx, database.DB, locks, pair[0]+1, pair[1]+1, out)
		switch {
		case errors.Is(err, sqllock.ErrLost): // nothing was written
			fmt.Fprintln(out, "REFUSED:", err)
		case err != nil && ctx.Err() == nil:
			return err
		}
		time.Sleep(rand.N(100 * time.Millisecond)) // processes get the locks in no order: give the others a chance
	}
	fmt.Fprintln(out, "has ended")
	return nil
}

// transfer moves a part of one account's balance to another account, under the locks of both.
// Transfers may name the accounts in any order, because AcquireAll takes locks in its own order.
func transfer(ctx context.Context, db *sql.DB, locks *sqllock.Client, from, to int, out io.Writer) error {
	set, err := locks.AcquireAll(ctx, []string{lockName(from), lockName(to)})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // when asked to end, finish the transfer
	defer set.Release(ctx)           //nolint:errcheck // a lost lock is no longer ours to release
	fmt.Fprintf(out, "HOLDS accounts %d and %d\n", from, to)
	source, err := newest(ctx, db, from)
	if err != nil {
		return err
	}
	target, err := newest(ctx, db, to)
	if err != nil {
		return err
	}
	amount := source.balance / 4

	// This never checks set.Context(): it stands for a program that was paused right before its
	// write.
	time.Sleep(200*time.Millisecond + rand.N(100*time.Millisecond))

	err = write(ctx, db, set,
		source.next(-amount, set.Lock(lockName(from)).Fence()), target.next(amount, set.Lock(lockName(to)).Fence()))
	if err == nil {
		fmt.Fprintf(out, "MOVED %d from account %d to account %d\n", amount, from, to)
	}
	return err
}

// write writes both entries, or none. Guard ensures that no other process gets either lock before
// that is committed, however long this process is paused, and refuses the write if one already has.
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
