package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// takeSet takes the account's lock together with some of the others, in random order.
func (w *worker) takeSet(ctx context.Context, account, accounts int64) (int64, held, error) {
	var names []string
	for _, i := range rand.Perm(int(accounts)) {
		if other := int64(i + 1); other == account || rand.IntN(2) == 0 {
			names = append(names, fmt.Sprintf("account/%d", other))
		}
	}
	set, err := w.locks.AcquireAll(ctx, names)
	if err != nil {
		return 0, nil, err
	}
	return set.Lock(fmt.Sprintf("account/%d", account)).Fence(), set, nil
}

// TestSetsThatCross lets processes acquire overlapping sets of locks, and kills some of them. A
// circle of waiters would end the work of all. The ledger proves that no two jobs overlapped.
func TestSetsThatCross(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		worker := setup{URL: url, TTL: ttlFor(t, s, loadTTL), ReapEvery: time.Second}
		c := &ledgerWorkers{check: newLedgerCheck(), sets: true}
		for range 3 {
			c.add(t, worker, 4, 4)
		}
		for until := time.Now().Add(long.Or(3*time.Second, 15*time.Second)); time.Now().Before(until); {
			c.check.awaitEach(t, 3, c.alive()...)
			c.check.kill(c.workers[c.alive()[0]-1], c.alive()[0])
			c.add(t, worker, 4, 4)
		}
		c.finish(t)
		c.check.prove(t, target.DB)
		c.check.report(t, failed)
		wantNoLocks(t, client(t, target, sqllock.Options{}), 3*worker.TTL)
	})
}

// TestSetCost checks that ten free names cost one statement to acquire, and a few to release.
func TestSetCost(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		calls := make(chan string, 100)
		target.Dialect = newFaultDialect(target.Dialect, func(operation string, do func()) {
			calls <- operation
			if operation == "release" {
				time.Sleep(50 * time.Millisecond) // slow, so that the others join the next batch on a busy machine too
			}
			do()
		})
		c := client(t, target, sqllock.Options{TTL: time.Hour})
		mustRelease(t, mustTry(t, c, "the lease is open"))
		count := func(operation string) (n int) {
			for {
				select {
				case call := <-calls:
					if call == operation {
						n++
					} else {
						t.Errorf("an unexpected statement of %q", call)
					}
				default:
					return n
				}
			}
		}
		for len(calls) > 0 {
			<-calls
		}
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("name %d", i))
		}
		for round := range 3 { // at first the rows don't exist yet
			set, err := c.AcquireAll(t.Context(), names)
			if err != nil {
				t.Fatal(err)
			}
			if n := count("acquire"); n != 1 {
				t.Errorf("round %d: %d statements for ten names", round, n)
			}
			if err := set.Release(t.Context()); err != nil {
				t.Error(err)
			}
			if n := count("release"); n < 1 || n > 5 { // a batch has the releases that have been enqueued by then
				t.Errorf("round %d: %d statements to release them", round, n)
			}
		}
	})
}
