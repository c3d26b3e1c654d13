package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// loadArgs asks a worker for guarded work on the ledger until "stop".
type loadArgs struct {
	Worker   int64
	Routines int64
	Accounts int64
}

// job is what a worker tells of each piece of work, after it.
type job struct {
	Worker, Routine, Job int64
	Fence                int64
	Outcome              outcome
	Detail               string
}

type jobID struct{ worker, routine, job int64 }

type outcome string

const (
	wrote   outcome = "wrote"   // for certain
	refused outcome = "refused" // the lock was lost; nothing written
	late    outcome = "late"    // no answer in time, since the process was frozen or the database busy; nothing written
	failed  outcome = "failed"  // the database did; nothing written
	unsure  outcome = "unsure"  // the commit's reply was lost
)

var (
	_ = handle("load", (*worker).load)
	_ = handle("stop", (*worker).stop)
)

func (w *worker) load(ctx context.Context, args loadArgs) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	w.ending = append(w.ending, cancel)
	w.mu.Unlock()
	var routines sync.WaitGroup
	for r := range args.Routines {
		routines.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				j := job{Worker: args.Worker, Routine: r, Job: n}
				if w.doJob(ctx, &j, 1+rand.Int64N(args.Accounts)); j.Outcome != "" {
					w.event("job", j)
				} else {
					n--
				}
			}
		})
	}
	routines.Wait()
	return nil, nil
}

// stop ends the loads; they answer when the jobs under way are done.
func (w *worker) stop(context.Context, struct{}) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range w.ending {
		end()
	}
	w.ending = nil
	return nil, nil
}

// doJob takes the account's lock, does the job, and says what became of it. Nothing, if the load ended before.
// It never looks at the lock's context: the guard alone has to keep a late writer from doing harm.
func (w *worker) doJob(ctx context.Context, j *job, account int64) {
	name := fmt.Sprintf("account/%d", account)
	lock, err := w.locks.TryAcquire(ctx, name)
	if errors.Is(err, sqllock.ErrNotAcquired) {
		lock, err = w.locks.Acquire(ctx, name)
	}
	if errors.Is(err, sqllock.ErrNotAcquired) {
		return
	}
	if err == nil {
		j.Fence = lock.Fence()
		e := entry{Account: account, Worker: j.Worker, Routine: j.Routine, Job: j.Job, Fence: j.Fence}
		err = e.write(context.WithoutCancel(ctx), w.target.DB, lock)
		if late := lock.Release(ctx); err == nil && late != nil && !errors.Is(late, sqllock.ErrLost) {
			j.Detail = late.Error()
		}
	}
	switch {
	case err == nil:
		j.Outcome = wrote
		return
	case errors.Is(err, errUnsure):
		j.Outcome = unsure
	case errors.Is(err, sqllock.ErrLost):
		j.Outcome = refused
	case errors.Is(err, context.DeadlineExceeded):
		j.Outcome = late
	default:
		j.Outcome = failed
		select { // the database is down, or restarting: no use in asking at once
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	j.Detail = err.Error()
}

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

// crew is a set of workers under load.
type crew struct {
	book    *book
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
	done, err := p.send("load", loadArgs{Worker: int64(id), Routines: routines, Accounts: accounts})
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
