package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

// once_runs has a row for each time that the work for a key was done. The outcomes of once.Do are
// what the workers report. Like the ledger it deliberately has no unique key.
const runsTable = "CREATE TABLE once_runs (k BIGINT NOT NULL, worker BIGINT NOT NULL)"

// mustHaveRunOnce checks that the work was done exactly once for each of that many keys.
func mustHaveRunOnce(t *testing.T, target *open.Database, keys int) {
	t.Helper()
	runs := scan[int](t, target, "SELECT COUNT(*) FROM once_runs")
	names := scan[int](t, target, "SELECT COUNT(DISTINCT k) FROM once_runs")
	if runs != keys || names != keys {
		t.Errorf("the work was done %d times for %d keys; want once for each of %d", runs, names, keys)
	}
}

// onceArgs asks a worker to do the work for keys, each key in several goroutines at once.
type onceArgs struct {
	Worker, Keys, Routines int64
	Hold                   bool // stay in the work, and send an event
}

// onceReport is a worker's reply: the result for each key.
type onceReport struct {
	Results map[int64]string
	Ran     int64 // how often the work succeeded in this worker
}

var (
	_ = handle("once", (*worker).once)
	_ = handle("occurrence", (*worker).occurrence)

	errFirstTry = errors.New("the first try fails")
)

// once calls once.Do for all keys, in a different order in each goroutine. The work fails at its
// first try in this process.
func (w *worker) once(ctx context.Context, args onceArgs) (any, error) {
	var mu sync.Mutex
	report, tried := onceReport{Results: make(map[int64]string)}, make(map[int64]bool)
	var failed []error
	one := func(key int64) error {
		work := func(ctx context.Context, lock *sqllock.Lock) ([]byte, error) {
			mu.Lock()
			first := !tried[key]
			tried[key] = true
			mu.Unlock()
			if args.Hold {
				w.event("working", key)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			if first {
				return nil, errFirstTry
			}
			_, err := w.target.DB.ExecContext(ctx,
				fmt.Sprintf("INSERT INTO once_runs (k, worker) VALUES (%d, %d)", key, args.Worker))
			return fmt.Appendf(nil, "worker %d, fence %d", args.Worker, lock.Fence()), err
		}
		out, err := once.Do(ctx, w.locks, fmt.Sprint("work/", key), work)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if was := report.Results[key]; was != "" && was != string(out.Result) {
			return fmt.Errorf("key %d: the result is %q; an earlier call returned %q", key, out.Result, was)
		}
		report.Results[key] = string(out.Result)
		if !out.Replayed {
			report.Ran++
		}
		return nil
	}
	var all sync.WaitGroup
	for range args.Routines {
		all.Go(func() {
			for _, key := range rand.Perm(int(args.Keys)) {
				err := one(int64(key))
				for errors.Is(err, errFirstTry) {
					err = one(int64(key))
				}
				if err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return report, errors.Join(failed...)
}

// TestOnceProcesses lets many processes do the same work: for each key it succeeds once, and all
// get that outcome.
func TestOnceProcesses(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		const processes, keys = 3, 8
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, runsTable)
		var workers []*process
		var replies []<-chan message
		for i := range int64(processes) {
			workers = append(workers, start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil))
		}
		for i, p := range workers {
			reply, err := p.send("once", onceArgs{Worker: int64(i), Keys: keys, Routines: 3})
			if err != nil {
				t.Fatal(err)
			}
			replies = append(replies, reply)
		}
		results, ran := make(map[int64]string), int64(0)
		for i, p := range workers {
			report, err := receive[onceReport](p, "once", replies[i], stepTimeout)
			if err != nil {
				t.Fatal(err)
			}
			ran += report.Ran
			for key, result := range report.Results {
				if results[key] != "" && results[key] != result {
					t.Errorf("key %d: one process got %q, another %q", key, results[key], result)
				}
				results[key] = result
			}
		}
		mustHaveRunOnce(t, target, keys)
		if ran != keys || len(results) != keys {
			t.Errorf("the processes report that the work was done %d times, with %d results; want %d",
				ran, len(results), keys)
		}
	})
}

// TestOnceKilled kills the process that does the work: another one, which waits, does it once the
// lease has expired.
func TestOnceKilled(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, runsTable)
		ttl := ttlFor(t, s, crashTTL)
		working := make(chan struct{}, 1)
		victim := start(t, setup{URL: url, Holder: "victim", TTL: ttl, ReapEvery: -1}, func(m message) {
			if m.Event == "working" {
				working <- struct{}{}
			}
		})
		nextHolder := start(t, setup{URL: url, Holder: "next holder", TTL: ttl, ReapEvery: -1}, nil)
		if _, err := victim.send("once", onceArgs{Worker: 1, Keys: 1, Routines: 1, Hold: true}); err != nil {
			t.Fatal(err)
		}
		<-working
		reply, err := nextHolder.send("once", onceArgs{Worker: 2, Keys: 1, Routines: 2})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // until it polls at its slowest
		victim.kill()
		killed := time.Now()
		report, err := receive[onceReport](nextHolder, "once", reply, stepTimeout)
		took := time.Since(killed)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("done %s after the kill, at a TTL of %s", took.Round(time.Millisecond), ttl)
		if most := ttl + ttl/2; took > most {
			t.Errorf("the work was done only %s after the kill; want within %s", took, most)
		}
		if n := scan[int](t, target, "SELECT COUNT(*) FROM once_runs WHERE worker = 2"); n != 1 || report.Ran != 1 {
			t.Errorf("the work was done %d times; the worker reports %d", n, report.Ran)
		}
	})
}

// occurrence runs a job for a time in the past.
func (w *worker) occurrence(ctx context.Context, args onceArgs) (any, error) {
	at := time.Date(2026, 3, 1, 2, 0, int(args.Keys), 0, time.UTC)
	return once.RunOccurrence(ctx, w.locks, "nightly", at, func(ctx context.Context, _ *sqllock.Lock) error {
		_, err := w.target.DB.ExecContext(ctx,
			fmt.Sprintf("INSERT INTO once_runs (k, worker) VALUES (%d, %d)", args.Keys, args.Worker))
		return err
	})
}

// TestOccurrences has hosts whose clocks differ: each of them may begin when the others have long
// finished the short job.
func TestOccurrences(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, runsTable)
		hosts := []*process{
			start(t, setup{URL: url, Holder: "host 1", ReapEvery: -1}, nil),
			start(t, setup{URL: url, Holder: "host 2", ReapEvery: -1}, nil),
		}
		const times = 5
		for at := range int64(times) {
			var all sync.WaitGroup
			for i, host := range hosts {
				all.Go(func() {
					_, err := ask[bool](host, "occurrence", onceArgs{Worker: int64(i), Keys: at}, stepTimeout)
					if err != nil && !errors.Is(err, sqllock.ErrNotAcquired) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for i, host := range hosts { // both come late now
				if must[bool](host, "occurrence", onceArgs{Worker: int64(i), Keys: at}) {
					t.Errorf("host %d ran occurrence %d again", i+1, at)
				}
			}
		}
		mustHaveRunOnce(t, target, times)
	})
}
