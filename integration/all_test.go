package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// takeSet takes the account's lock together with some of the others, in any order.
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

// Processes want sets of locks that cross, and some of them are killed. Nobody waits for another in a circle, which would end
// the work of all, and the ledger proves that nobody's work overlapped.
func TestSetsThatCross(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		worker := setup{URL: url, TTL: ttlFor(t, s, loadTTL), ReapEvery: time.Second}
		c := &crew{book: newBook(), sets: true}
		for range 3 {
			c.add(t, worker, 4, 4)
		}
		for until := time.Now().Add(lasting(5*time.Second, 30*time.Second)); time.Now().Before(until); {
			c.book.awaitEach(t, 3, c.alive()...)
			c.book.kill(c.workers[c.alive()[0]-1], c.alive()[0])
			c.add(t, worker, 4, 4)
		}
		c.finish(t)
		c.book.prove(t, target.DB)
		c.book.complain(t, failed)
		nothingLeft(t, client(t, target, sqllock.Options{}), 3*worker.TTL)
	})
}

// Ten names that are free cost one statement that takes them, and two that let them go.
func TestSetCost(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		target := connect(t, database(t, s))
		calls := make(chan string, 100)
		target.Dialect = tapped(target.Dialect, func(operation string, do func()) {
			calls <- operation
			if operation == "release" {
				time.Sleep(50 * time.Millisecond) // a slow one: meanwhile the others come, on a busy machine too
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
						t.Errorf("a statement of %q", call)
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
		for round := range 3 { // rows that aren't there yet, and that are
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
			if n := count("release"); n < 1 || n > 5 { // group commit takes those that have come by then
				t.Errorf("round %d: %d statements that let them go", round, n)
			}
		}
	})
}
