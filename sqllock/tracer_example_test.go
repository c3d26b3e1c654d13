package sqllock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/sqllocktest"
)

// holdPrinter says which locks this process holds, and how each of them ended.
type holdPrinter struct{}

func (holdPrinter) HoldStart(ctx context.Context, data sqllock.HoldStartData) context.Context {
	fmt.Printf("%s %q is held\n", data.Kind, data.Name)
	return ctx
}

func (holdPrinter) HoldEnd(_ context.Context, data sqllock.HoldEndData) {
	fmt.Printf("%s %q was %s\n", data.Kind, data.Name, data.End)
}

// lateReporter reports acquisitions that took too long.
type lateReporter struct{}

func (lateReporter) AcquireStart(ctx context.Context, _ sqllock.AcquireStartData) context.Context {
	return ctx
}

func (lateReporter) AcquireEnd(_ context.Context, data sqllock.AcquireEndData) {
	if data.Outcome != sqllock.OutcomeAcquired {
		fmt.Printf("%s %q: %s\n", data.Kind, data.Name, data.Outcome)
	}
}

// A tracer implements the interfaces for what it wants to know.
func ExampleTracers() {
	ctx := context.Background()
	locks, err := sqllock.New(ctx, sqllocktest.New(), &sqllock.Options{
		Tracer: sqllock.Tracers(holdPrinter{}, lateReporter{}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	lock, err := locks.Acquire(ctx, "report/nightly")
	if err != nil {
		log.Fatal(err)
	}
	if other, err := locks.TryAcquire(ctx, "report/nightly"); err == nil {
		defer other.Release(ctx)
	}
	if err := lock.Release(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// lock "report/nightly" is held
	// lock "report/nightly": not_acquired
	// lock "report/nightly" was released
}
