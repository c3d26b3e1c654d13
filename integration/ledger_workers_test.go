package integration

import (
	"fmt"
	"testing"
)

// ledgerWorkers is a set of workers that write the ledger.
type ledgerWorkers struct {
	check   *ledgerCheck
	sets    bool // see loadArgs
	cluster bool // likewise
	workers []*process
	done    []<-chan message
}

// startLoad starts n workers, numbered from 1, and their loads.
func startLoad(t testing.TB, n int, s setup, routines, accounts int64) *ledgerWorkers {
	t.Helper()
	c := &ledgerWorkers{check: newLedgerCheck()}
	for range n {
		c.add(t, s, routines, accounts)
	}
	return c
}

// add starts one more worker.
func (c *ledgerWorkers) add(t testing.TB, s setup, routines, accounts int64) {
	t.Helper()
	id := len(c.workers) + 1
	s.Holder = fmt.Sprintf("worker %d", id)
	p := start(t, s, c.check.record)
	done, err := p.send("load", loadArgs{
		Worker: int64(id), Routines: routines, Accounts: accounts, Sets: c.sets, Cluster: c.cluster,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.workers, c.done = append(c.workers, p), append(c.done, done)
}

// finish ends the loads, and waits until the jobs under way are done. It skips killed workers.
func (c *ledgerWorkers) finish(t testing.TB) {
	t.Helper()
	for i, p := range c.workers {
		if !c.check.killed[int64(i+1)] {
			must[any](p, "stop", struct{}{})
		}
	}
	for i, p := range c.workers {
		if c.check.killed[int64(i+1)] {
			continue
		}
		if _, err := receive[any](p, "load", c.done[i], stepTimeout); err != nil {
			t.Errorf("the load of worker %d: %v", i+1, err)
		}
	}
}

// alive returns the numbers of the workers that were not killed.
func (c *ledgerWorkers) alive() []int64 {
	c.check.mu.Lock()
	defer c.check.mu.Unlock()
	var ids []int64
	for i := range c.workers {
		if id := int64(i + 1); !c.check.killed[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
