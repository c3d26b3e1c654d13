package sqllock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sqllock/sqllock/sqllock"
)

// Check is for a diagnostic command: it says what doesn't work in this database, and what to do.
func ExampleClient_Check() {
	ctx := context.Background()
	db := database()
	locks := process(db, "doctor")
	defer locks.Close(ctx)

	findings, err := locks.Check(ctx)
	if err != nil {
		log.Fatal(err)
	}
	bad := 0
	for _, f := range findings {
		if f.Verdict == sqllock.VerdictBad {
			bad++
			fmt.Printf("%s: %s; %s\n", f.What, f.Found, f.Advice)
		}
	}
	fmt.Println(bad, "problems")
	// Output: 0 problems
}

// A person has looked at the holder of a lock, and knows that it must not go on.
func ExampleClient_Break() {
	ctx := context.Background()
	db := database()
	worker, operator := process(db, "worker 1"), process(db, "operator")
	defer worker.Close(ctx)
	defer operator.Close(ctx)
	if _, err := worker.Acquire(ctx, "import"); err != nil {
		log.Fatal(err)
	}

	seen, err := operator.Inspect(ctx, "import")
	if err != nil {
		log.Fatal(err)
	}
	broken, err := operator.Break(ctx, "import", seen.Fence, // this acquisition, and no later one
		sqllock.BrokenBy("ann"), sqllock.WithReason("its host is gone"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("taken from", broken.Holder)

	lock, err := operator.TryAcquire(ctx, "import")
	fmt.Println(lock.Name(), err)

	breaks, err := operator.Breaks(ctx, "import")
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range breaks {
		fmt.Printf("%s took it from %s: %s\n", b.By, b.Holder, b.Reason)
	}
	// Output:
	// taken from worker 1
	// import <nil>
	// ann took it from worker 1: its host is gone
}
