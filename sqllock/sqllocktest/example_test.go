package sqllocktest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// A job must stop when its lock is lost. Two clients of one database in memory stand for two
// processes, and the test decides when the first one's lease expires.
func Example() {
	ctx := context.Background()
	db := sqllocktest.New()
	options := &sqllock.Options{TTL: time.Second, Logger: slog.New(slog.DiscardHandler)}
	first, _ := sqllock.New(ctx, db, options)
	defer first.Close(ctx)
	second, _ := sqllock.New(ctx, db, options)
	defer second.Close(ctx)

	err := first.Do(ctx, "report/nightly", func(ctx context.Context, _ *sqllock.Lock) error {
		db.ExpireAllLeases() // as if this process had been paused for longer than its TTL
		lock, err := second.Acquire(context.WithoutCancel(ctx), "report/nightly")
		if err != nil {
			return err
		}
		fmt.Println("taken over:", lock.Name())
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fmt.Println("lost:", errors.Is(err, sqllock.ErrLost))
	// Output:
	// taken over: report/nightly
	// lost: true
}

// The test shows what the code does when the database doesn't answer.
func Example_outage() {
	ctx := context.Background()
	db := sqllocktest.New()
	locks, _ := sqllock.New(ctx, db, nil)
	defer locks.Close(ctx)

	db.Outage(true)
	impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := locks.Acquire(impatient, "report/nightly")
	fmt.Println(errors.Is(err, sqllock.ErrNotAcquired), errors.Is(err, context.DeadlineExceeded))

	db.Outage(false)
	lock, err := locks.TryAcquire(ctx, "report/nightly")
	fmt.Println(lock.Name(), err)
	// Output:
	// true true
	// report/nightly <nil>
}
