package integration

import (
	"context"
	"crypto/rand"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/open"
)

// again repeats call until it does not fail because another node was faster. It returns the first
// result, and how many conflicts there were.
func again[T any](t *testing.T, d dialect.Dialect, call func(context.Context) ([]T, error)) (result T, conflicts int) {
	t.Helper()
	for ; ; conflicts++ {
		results, err := call(t.Context())
		switch {
		case err == nil:
			return results[0], conflicts
		case d.Classify(err) != dialect.ClassTransient || conflicts > 100:
			t.Errorf("%v (class %s), after %d conflicts", err, d.Classify(err), conflicts)
			return result, conflicts
		}
	}
}

// galeraQueue enqueues waiters through all nodes. No two of them have the same ticket, and in the
// end all nodes see the same queue.
func galeraQueue(t *testing.T, targets []*open.Database) {
	key := dialect.Key{Name: "a queue"}
	lease := galeraLease(t, targets[0].Dialect)
	const each = 20
	tickets := make([][]int64, len(targets))
	owners := make([][]string, len(targets))
	var group sync.WaitGroup
	for i, target := range targets {
		group.Go(func() {
			d := target.Dialect
			for range each {
				r := dialect.Request{Key: key, LeaseID: lease, Owner: rand.Text()}
				position, _ := again(t, target.Dialect, func(ctx context.Context) ([]dialect.QueuePosition, error) {
					return d.Enqueue(ctx, []dialect.Waiter{{Request: r}})
				})
				tickets[i], owners[i] = append(tickets[i], position.Ticket), append(owners[i], r.Owner)
			}
		})
	}
	group.Wait()
	seen := make(map[int64]bool)
	for _, of := range tickets {
		for i, ticket := range of {
			if seen[ticket] || i > 0 && ticket <= of[i-1] {
				t.Errorf("ticket %d of one node's %d is a duplicate or out of order", ticket, of)
			}
			seen[ticket] = true
		}
	}
	galeraSame(t, targets, key, each*len(targets))
	for i := range targets { // each node dequeues the waiters of the next one
		group.Go(func() {
			target := targets[(i+1)%len(targets)]
			for _, owner := range owners[i] {
				in, n := again(t, target.Dialect, func(ctx context.Context) ([]bool, error) {
					return target.Dialect.Dequeue(ctx, []dialect.Claim{{Key: key, Owner: owner}})
				})
				if !in && n == 0 {
					t.Error("a waiter was not in the queue")
				}
			}
		})
	}
	group.Wait()
	galeraSame(t, targets, key, 0)
}

// galeraSame waits until all nodes see the same queue of want waiters.
func galeraSame(t *testing.T, targets []*open.Database, key dialect.Key, want int) {
	t.Helper()
	queues := make([][]dialect.Waiting, len(targets))
	for deadline := time.Now().Add(stepTimeout); ; time.Sleep(10 * time.Millisecond) {
		same := true
		for i, target := range targets {
			queue, err := target.Dialect.Queue(t.Context(), key, 2*want+1)
			if err != nil {
				t.Fatal(err)
			}
			queues[i] = queue
			same = same && len(queue) == want && reflect.DeepEqual(queue, queues[0])
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the nodes see different queues: %v", queues)
		}
	}
}

// galeraTransfer transfers one lock through all nodes at once. Exactly one of the transfers
// succeeds.
func galeraTransfer(t *testing.T, targets []*open.Database) {
	lease := galeraLease(t, targets[0].Dialect)
	holder := dialect.Request{Key: dialect.Key{Name: "passed on"}, LeaseID: lease, Owner: rand.Text()}
	grant, _ := again(t, targets[0].Dialect, func(ctx context.Context) ([]dialect.Grant, error) {
		return targets[0].Dialect.Acquire(ctx, []dialect.Request{holder})
	})
	fence := grant.Fence
	for round := range 20 {
		var group sync.WaitGroup
		grants, nexts := make([]dialect.Grant, len(targets)), make([]dialect.Request, len(targets))
		for i, target := range targets {
			nexts[i] = holder
			nexts[i].Owner = rand.Text()
			transfer := dialect.Transfer{Claim: dialect.Claim{Key: holder.Key, Owner: holder.Owner}, Next: nexts[i]}
			group.Go(func() {
				grants[i], _ = again(t, target.Dialect, func(ctx context.Context) ([]dialect.Grant, error) {
					return target.Dialect.Transfer(ctx, []dialect.Transfer{transfer})
				})
			})
		}
		group.Wait()
		granted := 0
		for i, g := range grants {
			if g.Granted {
				granted++
				if g.Fence <= fence {
					t.Errorf("round %d: fence %d is not greater than %d", round, g.Fence, fence)
				}
				holder, fence = nexts[i], g.Fence
			}
		}
		if granted != 1 {
			t.Fatalf("round %d: %d nodes transferred the lock: %+v", round, granted, grants)
		}
	}
}

// galeraLease creates a lease, and returns its id.
func galeraLease(t *testing.T, d dialect.Dialect) string {
	t.Helper()
	lease := dialect.Lease{ID: rand.Text(), Holder: "h", TTL: time.Minute}
	if err := d.CreateLease(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	return lease.ID
}
