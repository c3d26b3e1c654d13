package sqllock_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A program passes the dialect of its database, for example postgres.New(db), mysql.New(db) or
// sqlite.New(db). The example uses a database in memory.
func ExampleNew() {
	ctx := context.Background()
	d := sqllocktest.New()

	locks, err := sqllock.New(ctx, d, &sqllock.Options{Holder: "worker 1"})
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

// Do gives fn a ctx that ends when the lock is lost, so that work that returns when its ctx ends
// stops in time.
func ExampleClient_Do() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	err := locks.Do(ctx, "report/nightly", func(ctx context.Context, lock *sqllock.Lock) error {
		_, err := db.ExecContext(ctx, "INSERT INTO reports (day, fence) VALUES ('2026-03-01', ?)", lock.Fence())
		return err
	})
	fmt.Println(err)
	// Output: <nil>
}

// Bound the wait with a timeout of ctx. ctx does not bound the lock once it is acquired.
func ExampleClient_Acquire() {
	ctx := context.Background()
	db := database()
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

// If another process does the work already, say which one and leave it to that.
func ExampleClient_TryAcquire() {
	ctx := context.Background()
	db := database()
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

// Guard ties the lock to the transaction that it protects. Here the process was paused for longer
// than its lease lasts, and another has taken the lock meanwhile, so the late write is rolled back.
func ExampleLock_Guard() {
	ctx := context.Background()
	db := database()
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

	db.Memory.ExpireAllLeases() // the process was paused for longer than its lease lasts
	if _, err := other.Acquire(ctx, "account/42"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("after it was taken over:", errors.Is(book(lock), sqllock.ErrLost))
	// Output:
	// while it holds the lock: <nil>
	// after it was taken over: true
}

// Every host runs the same schedule. The first one does the job, and the lock stays taken for most
// of the interval, so that a host whose clock is a little behind doesn't repeat the job.
func ExampleHoldAtLeast() {
	ctx := context.Background()
	db := database()
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

// Locks lists all held locks and their holders, whichever process asks.
func ExampleClient_Locks() {
	ctx := context.Background()
	db := database()
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

func ExampleClient_DoTx() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	err := locks.DoTx(ctx, "report/nightly", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO reports (day, fence) VALUES ('2026-03-01', 0)")
		return err
	})
	fmt.Println("committed under the lock:", err == nil)
	// Output: committed under the lock: true
}
