package integration

import (
	"fmt"
	"testing"
)

// crew is a set of workers under load.
type crew struct {
	book    *book
	sets    bool // see loadArgs
	workers []*process
	done    []<-chan message
}

// startLoad starts n workers, numbered from 1, and their loads.
func startLoad(t testing.TB, n int, s setup, routines, accounts int64) *crew {
	t.Helper()
	c := &crew{book: newBook()}
	for range n {
		c.add(t, s, routines, accounts)
	}
	return c
}

// add starts one more worker.
func (c *crew) add(t testing.TB, s setup, routines, accounts int64) {
	t.Helper()
	id := len(c.workers) + 1
	s.Holder = fmt.Sprintf("worker %d", id)
	p := start(t, s, c.book.hear)
	done, err := p.send("load", loadArgs{Worker: int64(id), Routines: routines, Accounts: accounts, Sets: c.sets})
	if err != nil {
		t.Fatal(err)
	}
	c.workers, c.done = append(c.workers, p), append(c.done, done)
}

// finish ends the loads, and waits until what is under way is done. Killed workers are left out.
func (c *crew) finish(t testing.TB) {
	t.Helper()
	for i, p := range c.workers {
		if !c.book.killed[int64(i+1)] {
			must[any](p, "stop", struct{}{})
		}
	}
	for i, p := range c.workers {
		if c.book.killed[int64(i+1)] {
			continue
		}
		if _, err := hear[any](p, "load", c.done[i], patience); err != nil {
			t.Errorf("worker %d: its load: %v", i+1, err)
		}
	}
}

// alive are the numbers of the workers that were not killed.
func (c *crew) alive() []int64 {
	c.book.mu.Lock()
	defer c.book.mu.Unlock()
	var ids []int64
	for i := range c.workers {
		if id := int64(i + 1); !c.book.killed[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
