package once_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

func ExampleDoTx() {
	ctx := context.Background()
	db := database()
	locks := process(db, "consumer 1")
	defer locks.Close(ctx)

	consume := func(message string) (once.Outcome, error) {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return once.Outcome{}, err
		}
		defer tx.Rollback()
		out, err := once.DoTx(ctx, locks, tx, "message/"+message, func(ctx context.Context) ([]byte, error) {
			_, err := tx.ExecContext(ctx, "INSERT INTO reports (day, fence) VALUES (?, 0)", message)
			return nil, err
		})
		if err != nil {
			return out, err
		}
		return out, tx.Commit()
	}
	for range 2 { // a message may be delivered twice
		out, err := consume("2026-03-01")
		fmt.Println("replayed:", out.Replayed, err)
	}
	// Output:
	// replayed: false <nil>
	// replayed: true <nil>
}

func ExampleDo() {
	ctx := context.Background()
	db := database()
	locks, other := process(db, "worker 1"), process(db, "worker 2")
	defer locks.Close(ctx)
	defer other.Close(ctx)

	charge := func(ctx context.Context, lock *sqllock.Lock) ([]byte, error) {
		fmt.Println("charging") // somewhere else, with "order/42" as its idempotency key
		return []byte("receipt 7"), nil
	}
	for _, worker := range []*sqllock.Client{locks, other} {
		out, err := once.Do(ctx, worker, "order/42", charge)
		fmt.Println(string(out.Result), err)
	}
	// Output:
	// charging
	// receipt 7 <nil>
	// receipt 7 <nil>
}

func ExampleRunOccurrence() {
	ctx := context.Background()
	db := database()
	scheduled := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC) // what the scheduler says, the same on every host
	for _, host := range []string{"host 1", "host 2", "host 3"} {
		locks := process(db, host)
		report := func(context.Context, *sqllock.Lock) error { return nil }
		ran, err := once.RunOccurrence(ctx, locks, "report/nightly", scheduled, report)
		fmt.Println(host, ran, err, locks.Close(ctx))
	}
	// Output:
	// host 1 true <nil> <nil>
	// host 2 false <nil> <nil>
	// host 3 false <nil> <nil>
}
