package sqllock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Many readers share the lock, and a writer has it alone.
func ExampleClient_RWLock() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	book := locks.RWLock("book/42")
	first, err := book.AcquireShared(ctx)
	if err != nil {
		log.Fatal(err)
	}
	second, err := book.AcquireShared(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = book.TryAcquire(ctx)
	fmt.Println("a writer has to wait:", errors.Is(err, sqllock.ErrNotAcquired))

	if err := errors.Join(first.Release(ctx), second.Release(ctx)); err != nil {
		log.Fatal(err)
	}
	err = book.Do(ctx, func(context.Context, *sqllock.Lock) error {
		fmt.Println("writing")
		return nil
	})
	fmt.Println(err)
	// Output:
	// a writer has to wait: true
	// writing
	// <nil>
}

// At most two workers call the partner's API at a time.
func ExampleClient_Semaphore() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	partner := locks.Semaphore("partner", 2)
	first, err := partner.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Release(ctx)
	second, err := partner.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Release(ctx)
	_, err = partner.TryAcquire(ctx)
	fmt.Println("a third has to wait:", errors.Is(err, sqllock.ErrNotAcquired))
	// Output: a third has to wait: true
}

// Both accounts are locked, or none. Callers may name them in any order.
func ExampleClient_AcquireAll() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	accounts, err := locks.AcquireAll(ctx, []string{"account/42", "account/7"})
	if err != nil {
		log.Fatal(err)
	}
	for _, lock := range accounts.Locks() {
		fmt.Println("locked", lock.Name())
	}
	fmt.Println(accounts.Release(ctx))
	// Output:
	// locked account/42
	// locked account/7
	// <nil>
}

// The lock ends with the transaction, so there is nothing to release.
func ExampleClient_AcquireTx() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()
	if err := locks.AcquireTx(ctx, tx, "account/42"); err != nil {
		log.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance - 10 WHERE id = 42"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tx.Commit())
	// Output: <nil>
}

// Processes that use Fair get the lock in the order in which they asked for it.
func ExampleFair() {
	ctx := context.Background()
	db := database()
	first, second, third := process(db, "worker 1"), process(db, "worker 2"), process(db, "worker 3")
	defer first.Close(ctx)
	defer second.Close(ctx)
	defer third.Close(ctx)
	lock, err := first.Acquire(ctx, "printer", sqllock.Fair())
	if err != nil {
		log.Fatal(err)
	}

	served := make(chan int)
	var workers sync.WaitGroup
	for i, locks := range []*sqllock.Client{second, third} {
		workers.Go(func() {
			err := locks.Do(ctx, "printer", func(context.Context, *sqllock.Lock) error {
				served <- i + 2
				return nil
			}, sqllock.Fair())
			if err != nil {
				log.Fatal(err)
			}
		})
		awaitQueue(ctx, first, "printer", i+1)
	}
	if err := lock.Release(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("worker", <-served)
	fmt.Println("worker", <-served)
	workers.Wait()
	// Output:
	// worker 2
	// worker 3
}

// The server holds a session lock for a connection, and releases it when the connection ends.
func ExampleClient_Session() {
	ctx := context.Background()
	db := database() // of PostgreSQL, MySQL or SQL Server in a program
	locks, other := process(db, "migrator 1"), process(db, "migrator 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)

	lock, err := locks.Session("schema").Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = other.Session("schema").TryAcquire(ctx)
	fmt.Println("another migrator has to wait:", errors.Is(err, sqllock.ErrNotAcquired))
	fmt.Println(lock.Release(ctx))
	// Output:
	// another migrator has to wait: true
	// <nil>
}

// awaitQueue waits until n processes wait for the lock.
func awaitQueue(ctx context.Context, locks *sqllock.Client, name string, n int) {
	for {
		queue, err := locks.Queue(ctx, name)
		if err != nil {
			log.Fatal(err)
		}
		if len(queue) == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
