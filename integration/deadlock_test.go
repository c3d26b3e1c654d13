package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// underArgs asks a worker to acquire a lock while it holds another.
type underArgs struct{ Name, Under string }

var (
	_ = handle("acquireUnder", (*worker).acquireUnder)
	_ = handle("inOrder", (*worker).inOrder)
)

func (w *worker) acquireUnder(_ context.Context, args underArgs) (any, error) {
	under, err := w.lock(args.Under)
	if err != nil {
		return nil, err
	}
	lock, err := w.locks.Acquire(under.Context(), args.Name)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.held[args.Name] = lock
	w.mu.Unlock()
	return nil, nil
}

// ring is a circle of processes. Each holds its own fork, and waits for the next process's fork.
type ring struct {
	*testing.T
	workers []*process
	results chan ringResult
}

// ringResult is the result of one process's wait.
type ringResult struct {
	worker int
	err    *remoteError
}

func fork(i int) string { return fmt.Sprintf("fork %d", i) }

func newRing(t *testing.T, n int, s setup) *ring {
	r := &ring{T: t, results: make(chan ringResult, n)}
	for i := range n {
		s.Holder = fmt.Sprintf("worker %d of %d", i, n)
		r.workers = append(r.workers, start(t, s, nil))
		must[acquired](r.workers[i], "acquire", lockArgs{Name: fork(i)})
	}
	for i, p := range r.workers {
		reply, err := p.send("acquireUnder", underArgs{Name: fork((i + 1) % n), Under: fork(i)})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			select {
			case m := <-reply:
				r.results <- ringResult{i, m.Err}
			case <-p.gone:
			}
		}()
	}
	return r
}

// next waits for the next result, which the failure message calls what.
func (r *ring) next(what string) ringResult {
	r.Helper()
	select {
	case a := <-r.results:
		return a
	case <-time.After(stepTimeout):
		r.Fatalf("waited %s in vain for %s", stepTimeout, what)
		return ringResult{}
	}
}

// Processes wait for each other in a circle. One of them soon gets ErrDeadlock. When that one
// releases its lock, or dies, all others get theirs.
func TestDeadlockAcrossProcesses(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		for _, c := range []struct {
			processes int
			dies      bool
		}{{2, false}, {3, false}, {3, true}} {
			worker := setup{URL: database(t, s), TTL: ttlFor(t, s, 2*time.Second), ReapEvery: -1}
			began := time.Now()
			r := newRing(t, c.processes, worker)
			victim := r.next("the end of the deadlock")
			took := time.Since(began)
			t.Logf("%d processes: %s after the first began: %v", c.processes, took.Round(time.Millisecond), victim.err)
			if most := worker.TTL + 8*time.Second; took > most {
				t.Errorf("the deadlock was found after %s, want within %s", took, most)
			}
			if victim.err == nil || !victim.err.Is(sqllock.ErrDeadlock) || !victim.err.Is(sqllock.ErrNotAcquired) {
				t.Fatalf("the first Acquire to return has returned %v; want ErrDeadlock", victim.err)
			}
			r.goOn(victim.worker, c.dies)
		}
	})
}

// goOn makes the victim release its fork, or kills it. The process that waits for that fork gets it
// then, and so on around the circle.
func (r *ring) goOn(victim int, dies bool) {
	r.Helper()
	if dies {
		r.workers[victim].kill()
	} else {
		must[any](r.workers[victim], "release", lockArgs{Name: fork(victim)})
	}
	n := len(r.workers)
	for i := (victim + n - 1) % n; i != victim; i = (i + n - 1) % n {
		a := r.next(fmt.Sprintf("worker %d, whose fork is free now", i))
		if a.worker != i || a.err != nil {
			r.Errorf("worker %d returned with error %v; want worker %d to get its fork", a.worker, a.err, i)
		}
		must[any](r.workers[i], "release", lockArgs{Name: fork((i + 1) % n)})
		must[any](r.workers[i], "release", lockArgs{Name: fork(i)})
	}
}

// orderArgs asks a worker for work under several locks, taken one by one in the order of their
// names.
type orderArgs struct {
	Routines int
	For      time.Duration
}

// ordered counts the results of that work.
type ordered struct {
	Done     int64
	Long     int64 // waits of more than a second with another lock held
	Alarms   int64 // calls that failed with ErrDeadlock
	Failures []string
}

func (w *worker) inOrder(ctx context.Context, args orderArgs) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, args.For)
	defer cancel()
	var done, long, alarms atomic.Int64
	var failures []string
	var routines sync.WaitGroup
	for range args.Routines {
		routines.Go(func() {
			for ctx.Err() == nil {
				names := []string{fmt.Sprintf("a %d", rand.IntN(12)), "b", "c"}
				names = slices.Delete(names, 1, 1+rand.IntN(2)) // all end with c, so the waits for c are long
				err := w.inside(ctx, names, false, &long)
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, sqllock.ErrDeadlock):
					alarms.Add(1)
					fallthrough
				case ctx.Err() == nil:
					w.mu.Lock()
					failures = append(failures, err.Error())
					w.mu.Unlock()
				}
			}
		})
	}
	routines.Wait()
	return ordered{done.Load(), long.Load(), alarms.Load(), failures}, nil
}

// inside acquires the locks in order, each while it holds the ones before.
func (w *worker) inside(ctx context.Context, names []string, holding bool, long *atomic.Int64) error {
	if len(names) == 0 {
		select { // the work
		case <-ctx.Done():
		case <-time.After(120 * time.Millisecond):
		}
		return nil
	}
	began := time.Now()
	return w.locks.Do(ctx, names[0], func(inner context.Context, _ *sqllock.Lock) error {
		if holding && time.Since(began) > time.Second {
			long.Add(1)
		}
		return w.inside(inner, names[1:], true, long)
	})
}

// Processes that take locks in one order get no ErrDeadlock, even if they wait long for a lock
// while they hold others.
func TestNoDeadlockInOrder(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		var all []<-chan message
		var workers []*process
		limit := long.Or(5*time.Second, 20*time.Second)
		for i := range 3 {
			p := start(t, setup{URL: url, Holder: fmt.Sprintf("worker %d", i), ReapEvery: -1}, nil)
			reply, err := p.send("inOrder", orderArgs{Routines: 8, For: limit})
			if err != nil {
				t.Fatal(err)
			}
			workers, all = append(workers, p), append(all, reply)
		}
		var sum ordered
		for i, reply := range all {
			o, err := receive[ordered](workers[i], "inOrder", reply, limit+stepTimeout)
			if err != nil || o.Alarms > 0 || len(o.Failures) > 0 {
				t.Errorf("worker %d: %v, %+v", i, err, o)
			}
			sum.Done, sum.Long = sum.Done+o.Done, sum.Long+o.Long
		}
		t.Logf("%d times done; %d waits of more than a second with a lock held", sum.Done, sum.Long)
		if sum.Done == 0 || sum.Long == 0 {
			t.Errorf("%d times done, %d long waits: too few for this to prove anything", sum.Done, sum.Long)
		}
	})
}
