package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// book keeps what the workers told.
type book struct {
	mu       sync.Mutex
	changed  *sync.Cond
	jobs     map[jobID]outcome
	last     map[jobID]int64 // the last job of each worker and routine, whose job here is 0
	killed   map[int64]bool  // workers, of which the job after the last one may or may not be done
	counts   map[outcome]int
	byWorker map[int64]int  // jobs written
	details  map[string]int // of failures
	terms    bool           // who has a fence writes many lines with it
}

func newBook() *book {
	b := &book{
		jobs: make(map[jobID]outcome), last: make(map[jobID]int64), killed: make(map[int64]bool),
		counts: make(map[outcome]int), byWorker: make(map[int64]int), details: make(map[string]int),
	}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// hear takes a worker's events.
func (b *book) hear(m message) {
	var j job
	if m.Event != "job" || json.Unmarshal(m.Value, &j) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs[jobID{j.Worker, j.Routine, j.Job}] = j.Outcome
	b.last[jobID{j.Worker, j.Routine, 0}] = j.Job
	b.counts[j.Outcome]++
	if j.Outcome == wrote {
		b.byWorker[j.Worker]++
	}
	if j.Detail != "" {
		b.details[string(j.Outcome)+": "+j.Detail]++
	}
	b.changed.Broadcast()
}

// mayStand tells whether the job may be in the ledger by what was said of it.
func (b *book) mayStand(id jobID) bool {
	if said, ok := b.jobs[id]; ok {
		return said == wrote || said == unsure
	}
	return b.killed[id.worker] && b.last[jobID{id.worker, id.routine, 0}]+1 == id.job
}

// kill kills a worker under load.
func (b *book) kill(p *process, worker int64) {
	p.kill()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.killed[worker] = true
}

// await waits until ok, which is called with the book locked.
func (b *book) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late = true
		b.changed.Broadcast()
	})
	defer timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for !ok() {
		if late {
			t.Fatalf("waited %s in vain for %s; jobs by outcome: %v; failures: %v", patience, what, b.counts, b.details)
		}
		b.changed.Wait()
	}
}

// awaitEach waits until each of the workers has written n more jobs.
func (b *book) awaitEach(t testing.TB, n int, workers ...int64) {
	t.Helper()
	b.mu.Lock()
	goal := make(map[int64]int)
	for _, id := range workers {
		goal[id] = b.byWorker[id] + n
	}
	b.mu.Unlock()
	b.await(t, fmt.Sprintf("%d more jobs of each worker", n), func() bool {
		for id, n := range goal {
			if b.byWorker[id] < n {
				return false
			}
		}
		return true
	})
}

// complain fails the test for jobs that ended in that way, and for releases that failed.
func (b *book) complain(t testing.TB, about outcome) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for detail, n := range b.details {
		if strings.HasPrefix(detail, string(about)+": ") || strings.HasPrefix(detail, string(wrote)+": ") {
			t.Errorf("%d times %s", n, detail)
		}
	}
}
