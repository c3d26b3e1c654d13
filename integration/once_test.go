package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// The runs table has a line for each time that the work for a key was done, and the outcomes of Once are what the workers
// say. It has no unique key on purpose, as the ledger.
const runsTable = "CREATE TABLE once_runs (k BIGINT NOT NULL, worker BIGINT NOT NULL)"

// mustHaveRunOnce checks that the work for so many keys was done, for each once.
func mustHaveRunOnce(t *testing.T, target *open.Database, keys int) {
	t.Helper()
	runs := scan[int](t, target, "SELECT COUNT(*) FROM once_runs")
	names := scan[int](t, target, "SELECT COUNT(DISTINCT k) FROM once_runs")
	if runs != keys || names != keys {
		t.Errorf("done %d times, for %d keys; want %d", runs, names, keys)
	}
}

// onceArgs asks a worker to do the work for keys, each in several goroutines at once.
type onceArgs struct {
	Worker, Keys, Routines int64
	Hold                   bool // stay in the work, and say so
}

// onceReport is what a worker was answered: the result for each key.
type onceReport struct {
	Results map[int64]string
	Ran     int64 // times that the work was done to success
}

var (
	_ = handle("once", (*worker).once)
	_ = handle("occurrence", (*worker).occurrence)

	errFirstTry = errors.New("the first try fails")
)

// once calls Once for all keys, in an order of each goroutine's own. The work fails at its first try in this process.
func (w *worker) once(ctx context.Context, args onceArgs) (any, error) {
	var mu sync.Mutex
	report, tried := onceReport{Results: make(map[int64]string)}, make(map[int64]bool)
	var failed []error
	one := func(key int64) error {
		out, err := w.locks.Once(ctx, fmt.Sprint("work/", key), func(ctx context.Context, lock *sqllock.Lock) ([]byte, error) {
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
			_, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("INSERT INTO once_runs (k, worker) VALUES (%d, %d)", key, args.Worker))
			return fmt.Appendf(nil, "worker %d, fence %d", args.Worker, lock.Fence()), err
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if was := report.Results[key]; was != "" && was != string(out.Result) {
			return fmt.Errorf("key %d: %q, and before it was %q", key, out.Result, was)
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

// Many processes want the same work done: for each key it is done to success once, and all get that outcome.
func TestOnceProcesses(t *testing.T) {
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		const processes, keys = 3, 8
		url := database(t, s)
		target := connect(t, url)
		execute(t, target, runsTable)
		var workers []*process
		var answers []<-chan message
		for i := range int64(processes) {
			workers = append(workers, start(t, setup{URL: url, Holder: fmt.Sprint("worker ", i), ReapEvery: -1}, nil))
		}
		for i, p := range workers {
			answer, err := p.send("once", onceArgs{Worker: int64(i), Keys: keys, Routines: 3})
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		results, ran := make(map[int64]string), int64(0)
		for i, p := range workers {
			report, err := hear[onceReport](p, "once", answers[i], patience)
			if err != nil {
				t.Fatal(err)
			}
			ran += report.Ran
			for key, result := range report.Results {
				if results[key] != "" && results[key] != result {
					t.Errorf("key %d: one process was answered %q, another %q", key, results[key], result)
				}
				results[key] = result
			}
		}
		mustHaveRunOnce(t, target, keys)
		if ran != keys || len(results) != keys {
			t.Errorf("by what was answered it was done %d times, with %d results; want %d", ran, len(results), keys)
		}
	})
}

// Who does the work is killed: another, who waits, does it when the lease has run out.
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
		heir := start(t, setup{URL: url, Holder: "heir", TTL: ttl, ReapEvery: -1}, nil)
		if _, err := victim.send("once", onceArgs{Worker: 1, Keys: 1, Routines: 1, Hold: true}); err != nil {
			t.Fatal(err)
		}
		<-working
		answer, err := heir.send("once", onceArgs{Worker: 2, Keys: 1, Routines: 2})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // long enough for it to wait as it would for hours
		victim.kill()
		killed := time.Now()
		report, err := hear[onceReport](heir, "once", answer, patience)
		took := time.Since(killed)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("done %s after the kill, at a TTL of %s", took.Round(time.Millisecond), ttl)
		if most := ttl + ttl/2; took > most {
			t.Errorf("done only %s after the kill, want within %s", took, most)
		}
		if n := scan[int](t, target, "SELECT COUNT(*) FROM once_runs WHERE worker = 2"); n != 1 || report.Ran != 1 {
			t.Errorf("done %d times, told %d", n, report.Ran)
		}
	})
}

// occurrence runs a job for a time that was long ago.
func (w *worker) occurrence(ctx context.Context, args onceArgs) (any, error) {
	at := time.Date(2026, 3, 1, 2, 0, int(args.Keys), 0, time.UTC)
	return w.locks.RunOccurrence(ctx, "nightly", at, func(ctx context.Context, _ *sqllock.Lock) error {
		_, err := w.target.DB.ExecContext(ctx, fmt.Sprintf("INSERT INTO once_runs (k, worker) VALUES (%d, %d)", args.Keys, args.Worker))
		return err
	})
}

// Hosts whose clocks are apart: each comes when the others may have long been done with the short job.
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
					_, err := ask[bool](host, "occurrence", onceArgs{Worker: int64(i), Keys: at}, patience)
					if err != nil && !errors.Is(err, sqllock.ErrNotAcquired) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			for i, host := range hosts { // the late ones
				if must[bool](host, "occurrence", onceArgs{Worker: int64(i), Keys: at}) {
					t.Errorf("host %d ran occurrence %d again", i+1, at)
				}
			}
		}
		mustHaveRunOnce(t, target, times)
	})
}
