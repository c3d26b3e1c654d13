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
)

const (
	gateName = "demo/deploy/production"
	ttl      = 3 * time.Second // how long a dead pipeline blocks the others
)

// pipeline is the last step of a build's pipeline.
func pipeline(ctx context.Context, build int64, out io.Writer) error {
	database, err := demo.OpenDatabase()
	if err != nil {
		return err
	}
	defer database.DB.Close()
	locks, err := sqllock.New(ctx, database.Dialect, &sqllock.Options{
		TTL: ttl, Holder: fmt.Sprintf("build %d", build), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer locks.Close(ctx)

	err = locks.Do(ctx, gateName, func(ctx context.Context, lock *sqllock.Lock) error {
		fmt.Fprintln(out, "ENTERS the gate")
		err := deploy(ctx, database.DB, lock, build)
		if err == nil {
			fmt.Fprintln(out, "DEPLOYED")
		}
		return err
	},
		sqllock.Fair(), // first come, first served
		sqllock.WithNote(fmt.Sprintf("https://ci.example/builds/%d", build)),
		sqllock.OnWait(func(held *sqllock.HeldError) {
			if held.Outage != nil {
				fmt.Fprintf(out, "waits for the database: %v\n", held.Outage)
				return
			}
			fmt.Fprintf(out, "waits for %s, %s\n", held.Holder, held.Note)
		}))
	if errors.Is(err, errOutdated) {
		fmt.Fprintln(out, "SKIPS:", err)
		err = nil
	}
	return err
}

var errOutdated = errors.New("a newer build is deployed already")

// deploy rolls the build out and records it, unless a newer build is deployed. If the lock is lost
// during the roll-out, ctx ends, and at the latest Guard refuses the write.
func deploy(ctx context.Context, db *sql.DB, lock *sqllock.Lock, build int64) error {
	var deployed int64
	if err := db.QueryRowContext(ctx, "SELECT build FROM demo_deployed").Scan(&deployed); err != nil {
		return err
	}
	if deployed >= build {
		return fmt.Errorf("%w: build %d", errOutdated, deployed)
	}
	if err := rollOut(ctx, db, build); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// Compare again in the transaction that writes.
	result, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE demo_deployed SET build = %[1]d WHERE build < %[1]d", build))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errOutdated, err)
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(
		"INSERT INTO demo_deploys (build, fence) VALUES (%d, %d)", build, lock.Fence()))
	if err != nil {
		return err
	}
	if err := lock.Guard(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// rollOut stands for the slow part of a deployment. It returns when the demo reports that the
// machines have the build, or when ctx ends.
func rollOut(ctx context.Context, db *sql.DB, build int64) error {
	for {
		var installed int64
		err := db.QueryRowContext(ctx, "SELECT build FROM demo_machines").Scan(&installed)
		if err != nil || installed >= build {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
