package sqllock_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
	"github.com/sqllock/sqllock/sqllock"
)

func ExampleNew() {
	ctx := context.Background()
	dir, remove := tempDir()
	defer remove()

	db, err := sqlite.Open("sqlite://" + filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := migrations.Up(ctx, db, sqlitemigrations.Engine); err != nil { // or run sqllock-migrate up
		log.Fatal(err)
	}
	locks, err := sqllock.New(ctx, sqlite.New(db), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	lock, err := locks.Acquire(ctx, "report/nightly")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("locked", lock.Name())
	if err := lock.Release(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: locked report/nightly
}

// Do gives fn a ctx that ends when the lock is lost, so that work which heeds its ctx stops in time.
func ExampleClient_Do() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	err := locks.Do(ctx, "report/nightly", func(ctx context.Context, lock *sqllock.Lock) error {
		_, err := db.ExecContext(ctx, "INSERT INTO reports (day, fence) VALUES ('2026-03-01', ?)", lock.Fence())
		return err
	})
	fmt.Println(err)
	// Output: <nil>
}

// Bound the waiting with a time-out of the ctx. It means nothing to the lock once it is acquired.
func ExampleClient_Acquire() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)
	if _, err := other.Acquire(ctx, "report/nightly"); err != nil {
		log.Fatal(err)
	}

	waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := locks.Acquire(waiting, "report/nightly")

	fmt.Println("not acquired:", errors.Is(err, sqllock.ErrNotAcquired))
	fmt.Println("because the time was up:", errors.Is(err, context.DeadlineExceeded))
	// Output:
	// not acquired: true
	// because the time was up: true
}

// Leave it to whoever does it already, and say who that is.
func ExampleClient_TryAcquire() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)
	if _, err := other.Acquire(ctx, "report/nightly", sqllock.WithNote("build 4711")); err != nil {
		log.Fatal(err)
	}

	lock, err := locks.TryAcquire(ctx, "report/nightly")
	if held, ok := errors.AsType[*sqllock.HeldError](err); ok {
		fmt.Printf("%s is at it (%s)\n", held.Holder, held.Note)
		return
	}
	if err != nil {
		log.Fatal(err) // the database failed
	}
	defer lock.Release(ctx)
	fmt.Println("nobody was")
	// Output: worker 2 is at it (build 4711)
}

// Guard ties the lock to the transaction that it protects. Here the process was paused for longer than its lease
// lasts, and another has taken the lock over meanwhile: what it wrote late is rolled back.
func ExampleLock_Guard() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)

	book := func(lock *sqllock.Lock) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance - 10 WHERE id = 42"); err != nil {
			return err
		}
		if err := lock.Guard(ctx, tx); err != nil { // last, right before the commit
			return err
		}
		return tx.Commit()
	}

	lock, err := locks.Acquire(ctx, "account/42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("while it holds the lock:", book(lock))

	pauseAndLose(db)
	if _, err := other.Acquire(ctx, "account/42"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("after it was taken over:", errors.Is(book(lock), sqllock.ErrLost))
	// Output:
	// while it holds the lock: <nil>
	// after it was taken over: true
}

// Every host runs the same schedule. The first does the job, and the lock stays taken for most of the interval, so
// that a host whose clock is a little behind doesn't do it again.
func ExampleHoldAtLeast() {
	ctx := context.Background()
	db, done := database()
	defer done()
	host1, host2 := process(db, "host 1"), process(db, "host 2")
	defer host1.Close(ctx)
	defer host2.Close(ctx)

	everyHour := func(locks *sqllock.Client) {
		lock, err := locks.TryAcquire(ctx, "cron/hourly", sqllock.HoldAtLeast(55*time.Minute))
		if errors.Is(err, sqllock.ErrNotAcquired) {
			fmt.Println("done already, or being done")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		defer lock.Release(ctx)
		fmt.Println("doing it")
	}
	everyHour(host1)
	everyHour(host2)
	// Output:
	// doing it
	// done already, or being done
}

// Locks shows who holds what, whichever process asks.
func ExampleClient_Locks() {
	ctx := context.Background()
	db, done := database()
	defer done()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)
	for _, name := range []string{"account/42", "report/nightly"} {
		if _, err := other.Acquire(ctx, name); err != nil {
			log.Fatal(err)
		}
	}

	for info, err := range locks.Locks(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Name, info.State, "by", info.Holder)
	}
	// Output:
	// account/42 held by worker 2
	// report/nightly held by worker 2
}

// database is a fresh one with sqllock's tables and the application's.
func database() (db *sql.DB, done func()) {
	ctx := context.Background()
	dir, remove := tempDir()
	db, err := sqlite.Open("sqlite://" + filepath.Join(dir, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	if err := migrations.Up(ctx, db, sqlitemigrations.Engine); err != nil {
		log.Fatal(err)
	}
	const schema = `CREATE TABLE reports (day TEXT, fence INTEGER);
		CREATE TABLE accounts (id INTEGER, balance INTEGER);
		INSERT INTO accounts VALUES (42, 100);`
	if _, err := db.ExecContext(ctx, schema); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		remove()
	}
}

// process is a Client as a process of its own would have it.
func process(db *sql.DB, holder string) *sqllock.Client {
	options := &sqllock.Options{Holder: holder, Logger: slog.New(slog.DiscardHandler)}
	locks, err := sqllock.New(context.Background(), sqlite.New(db), options)
	if err != nil {
		log.Fatal(err)
	}
	return locks
}

// pauseAndLose does to all leases what a pause longer than their TTL does.
func pauseAndLose(db *sql.DB) {
	if _, err := db.ExecContext(context.Background(), "DELETE FROM sqllock_leases"); err != nil {
		log.Fatal(err)
	}
}

func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "sqllock-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}
