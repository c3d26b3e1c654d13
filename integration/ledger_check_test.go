package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledgerCheck collects the events of workers, and compares the ledger with them. mu guards the
// maps.
type ledgerCheck struct {
	mu       sync.Mutex
	changed  *sync.Cond
	jobs     map[jobID]outcome
	last     map[jobID]int64 // the last job of each worker and routine; the key's job is 0
	killed   map[int64]bool  // killed workers; the job after the last one of each may have been done or not
	counts   map[outcome]int
	byWorker map[int64]int  // counts the jobs written
	details  map[string]int // counts the errors
	terms    map[int64]bool // accounts of which many lines may have the same fence, as a leader's do
}

func newLedgerCheck() *ledgerCheck {
	b := &ledgerCheck{
		jobs: make(map[jobID]outcome), last: make(map[jobID]int64), killed: make(map[int64]bool),
		counts: make(map[outcome]int), byWorker: make(map[int64]int), details: make(map[string]int),
	}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// record handles a worker's events.
func (b *ledgerCheck) record(m message) {
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

// allowed reports whether the ledger may have a line of that job, according to the workers' events.
func (b *ledgerCheck) allowed(id jobID) bool {
	if reported, ok := b.jobs[id]; ok {
		return reported == wrote || reported == inDoubt
	}
	return b.killed[id.worker] && b.last[jobID{id.worker, id.routine, 0}]+1 == id.job
}

// kill kills a worker under load.
func (b *ledgerCheck) kill(p *process, worker int64) {
	p.kill()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.killed[worker] = true
}

// await waits until ok returns true. ok is called with b.mu held, after each event.
func (b *ledgerCheck) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(stepTimeout, func() {
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
			t.Fatalf("waited %s in vain for %s; jobs by outcome: %v; failures: %v",
				stepTimeout, what, b.counts, b.details)
		}
		b.changed.Wait()
	}
}

// jobsOf returns how many jobs a worker has written.
func (b *ledgerCheck) jobsOf(worker int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byWorker[worker]
}

// awaitEach waits until each of the workers has written n more jobs.
func (b *ledgerCheck) awaitEach(t testing.TB, n int, workers ...int64) {
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

// report fails the test if there were jobs of the outcome about, or releases that failed. It only
// logs errors that contain a text of but.
func (b *ledgerCheck) report(t testing.TB, about outcome, but ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for detail, n := range b.details {
		if strings.HasPrefix(detail, string(about)+": ") || strings.HasPrefix(detail, string(wrote)+": ") {
			if slices.ContainsFunc(but, func(part string) bool { return strings.Contains(detail, part) }) {
				t.Logf("%d times %s", n, detail)
				continue
			}
			t.Errorf("%d times %s", n, detail)
		}
	}
}
