package quorum_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/quorum"
)

// A quorum's locks outlive the loss of one of its three databases.
func ExampleNew() {
	ctx := context.Background()
	one, two, three := database(), database(), database() // each on a server of its own
	a, b, c := process(one, "worker 1"), process(two, "worker 1"), process(three, "worker 1")
	defer a.Close(ctx)
	defer b.Close(ctx)
	defer c.Close(ctx)

	// The very first start of a quorum takes MaxTTL until locks can be acquired.
	q, err := quorum.New(ctx, []*sqllock.Client{a, b, c}, &quorum.Options{MaxTTL: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	one.Memory.Outage(true)
	lock, err := q.Acquire(ctx, "report/nightly")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("locked", lock.Name())
	one.Memory.Outage(false)
	fmt.Println(lock.Release(ctx))
	// Output:
	// locked report/nightly
	// <nil>
}
