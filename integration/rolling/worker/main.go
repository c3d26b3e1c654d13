// Command worker is one process of an application that is being deployed. The test in the parent
// directory builds it from two releases. It migrates sqllock's tables when it starts, and then
// works under locks until its standard input ends.
//
// It prints two lines. "ready VERSION OWN" says that it has begun, with the version of the tables
// that it found and the version that it was written for. "done JOBS" says that it has ended as it
// should. It writes errors to standard error, and its exit code is then 1.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
)

func main() {
	w := &worker{out: os.Stdout}
	url := flag.String("url", "", "of the database, which has a table ledger (account, line, worker, fence)")
	flag.IntVar(&w.number, "worker", 0, "this worker's number")
	flag.IntVar(&w.accounts, "accounts", 2, "how many locks the workers share")
	flag.StringVar(&w.keep, "keep", "", "a lock to hold from start to end")
	flag.DurationVar(&w.ttl, "ttl", 3*time.Second, "of the locks")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := w.run(ctx, *url); err != nil {
		fmt.Fprintf(os.Stderr, "worker %d: %v\n", w.number, err)
		os.Exit(1)
	}
	fmt.Fprintf(w.out, "done %d\n", w.jobs)
}

// worker does jobs until its ctx ends.
type worker struct {
	out              io.Writer
	number, accounts int
	keep             string
	ttl              time.Duration
	jobs             int
}

func (w *worker) run(ctx context.Context, url string) (err error) {
	target, err := open.URL(url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.DB.Close()) }()
	if err := migrations.Up(ctx, target.DB, target.Migrations); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	locks, err := sqllock.New(ctx, target.Dialect, &sqllock.Options{
		Holder: fmt.Sprintf("worker %d", w.number), TTL: w.ttl, ReapEvery: time.Second,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Close(context.WithoutCancel(ctx))) }()
	version, _, err := migrations.Version(ctx, target.DB, target.Migrations)
	if err != nil {
		return err
	}
	if w.keep != "" {
		kept, err := locks.TryAcquire(ctx, w.keep)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Release(context.WithoutCancel(ctx))) }()
	}
	fmt.Fprintf(w.out, "ready %d %d\n", version, target.Dialect.SchemaVersion())
	for ctx.Err() == nil {
		if err := w.job(ctx, locks, target.DB); err != nil {
			return err
		}
	}
	return nil
}

// job acquires the lock of an account, with random options, and adds a line to the account's
// ledger.
func (w *worker) job(ctx context.Context, locks *sqllock.Client, db *sql.DB) error {
	account := rand.IntN(w.accounts)
	var opts []sqllock.Option
	switch rand.IntN(4) {
	case 0:
		opts = append(opts, sqllock.LockDelay(10*time.Millisecond))
	case 1:
		opts = append(opts, sqllock.HoldAtLeast(10*time.Millisecond))
	}
	lock, err := locks.Acquire(ctx, fmt.Sprintf("account/%d", account), opts...)
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the worker is to stop
		}
		return err
	}
	err = w.write(context.WithoutCancel(ctx), db, account, lock)
	if err == nil {
		w.jobs++
	}
	return errors.Join(err, lock.Release(context.WithoutCancel(ctx)))
}

// write reads the account's newest line and adds the next one. Only the lock keeps two workers from
// adding the same line.
func (w *worker) write(ctx context.Context, db *sql.DB, account int, lock *sqllock.Lock) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var line int64
	newest := fmt.Sprintf("SELECT COALESCE(MAX(line), 0) FROM ledger WHERE account = %d", account)
	err := db.QueryRowContext(ctx, newest).Scan(&line)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := lock.Guard(ctx, tx); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx,
		fmt.Sprintf("INSERT INTO ledger (account, line, worker, fence) VALUES (%d, %d, %d, %d)",
			account, line+1, w.number, lock.Fence()))
	if err != nil {
		return err
	}
	return tx.Commit()
}
