package sqllock_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

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

// A readiness probe asks Healthy, and a gauge shows Stats.
func ExampleClient_Healthy() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)
	if _, err := locks.Acquire(ctx, "report/nightly"); err != nil {
		log.Fatal(err)
	}

	probe := func(w http.ResponseWriter, r *http.Request) {
		if err := locks.Healthy(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		s := locks.Stats()
		fmt.Fprintf(w, "%d held, %d lost", s.Held[sqllock.KindLock], s.Lost)
	}
	reply := httptest.NewRecorder()
	probe(reply, httptest.NewRequest(http.MethodGet, "/ready", http.NoBody))
	fmt.Println(reply.Code, reply.Body)
	// Output: 200 1 held, 0 lost
}

// Stats says how near the process came to losing its locks.
func ExampleClient_Stats() {
	ctx := context.Background()
	db := database()
	locks := process(db, "worker 1")
	defer locks.Close(ctx)
	if _, err := locks.Acquire(ctx, "report/nightly"); err != nil {
		log.Fatal(err)
	}

	s := locks.Stats()
	fmt.Println(s.Held[sqllock.KindLock], "held under a lease of", s.LeaseTTL)
	if s.LeaseTTL > 0 && s.LeaseMargin < s.LeaseTTL/5 {
		fmt.Println("the heartbeats hardly came through")
	}
	// Output: 1 held under a lease of 15s
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
