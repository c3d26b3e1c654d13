package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
)

const benchLong = `Measure how fast locks are on this database, from this machine, with one process.

cycles/s is how many locks are acquired and released per second if each goroutine has a lock of its own, and the times
are those of one acquire and release. hand-overs/s is how often one lock changes hands if two clients with so many
goroutines each want it.

The locks have names of their own, and their rows are deleted at the end. Other users of the database are slowed down
for as long as bench runs.`

// maxBenchGoroutines bounds the goroutines of one measurement.
const maxBenchGoroutines = 1000

// benchResult is what bench has measured with so many goroutines.
type benchResult struct {
	Goroutines       int     `json:"goroutines"`
	Cycles           float64 `json:"cycles_per_s"`
	CycleMedian      float64 `json:"cycle_p50_ms"`
	Cycle99          float64 `json:"cycle_p99_ms"`
	HandOvers        float64 `json:"handovers_per_s"`
	HandOverInterval float64 `json:"handover_interval_ms"` // between two of them
}

func (a *app) bench() *cobra.Command {
	lasts := cli.Duration(2 * time.Second)
	var goroutines []int
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure how fast locks are on this database",
		Long:    benchLong,
		Example: "  sqllock bench\n  sqllock bench --for 10s --goroutines 1,16 --json",
		Args:    cli.Arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			for _, n := range goroutines {
				if n < 1 || n > maxBenchGoroutines {
					return cli.Usagef("--goroutines %d: want 1 to %d", n, maxBenchGoroutines)
				}
			}
			if lasts <= 0 {
				return cli.Usagef("--for %s: want a time above 0", time.Duration(lasts))
			}
			ctx, stop := a.untilSignal()
			defer stop()
			results, err := a.measure(ctx, goroutines, time.Duration(lasts))
			if err != nil {
				return signalOr(ctx, err)
			}
			a.document.Bench = results
			return a.showBench(results)
		},
	}
	cmd.Flags().Var(&lasts, "for", "how long each of the measurements takes")
	cmd.Flags().IntSliceVar(&goroutines, "goroutines", []int{1, 8, 64}, "how many `goroutines` there are in each "+
		"measurement")
	return cmd
}

// measure measures with each number of goroutines, and deletes its locks' rows.
func (a *app) measure(ctx context.Context, goroutines []int, lasts time.Duration) (results []benchResult, err error) {
	names := "sqllock bench " + rand.Text()
	var clients []*connection
	defer func() {
		ctx := context.WithoutCancel(ctx)
		if len(clients) > 0 {
			_, left := clients[0].DB.ExecContext(ctx, fmt.Sprintf(
				"DELETE FROM sqllock_locks WHERE lease_id IS NULL AND name LIKE '%s%%'", names))
			err = errors.Join(err, left)
		}
		for _, c := range clients {
			err = errors.Join(err, c.close(ctx))
		}
	}()
	for range 2 {
		client, err := a.connect(ctx, sqllock.Options{ReapEvery: -1})
		if err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	for _, n := range goroutines {
		own, err := cycle(ctx, n, lasts, func(i int) (*sqllock.Client, string) {
			return clients[0].locks, fmt.Sprintf("%s/%d", names, i)
		})
		if err != nil {
			return nil, err
		}
		wanted, err := cycle(ctx, 2*n, lasts, func(i int) (*sqllock.Client, string) {
			return clients[i%2].locks, names
		})
		if err != nil {
			return nil, err
		}
		results = append(results, benchResult{
			Goroutines: n, Cycles: own.perSecond(), CycleMedian: own.percentile(50), Cycle99: own.percentile(99),
			HandOvers: wanted.perSecond(), HandOverInterval: 1000 / wanted.perSecond(),
		})
	}
	return results, nil
}

// timings are those of an acquire and a release, sorted.
type timings struct {
	each []time.Duration
	took time.Duration // all of them
}

func (t timings) perSecond() float64 { return float64(len(t.each)) / t.took.Seconds() }

func (t timings) percentile(p int) float64 {
	return float64(t.each[(len(t.each)-1)*p/100]) / float64(time.Millisecond)
}

// cycle lets so many goroutines acquire and release for a while. lock says which lock each takes,
// and by which Client.
func cycle(
	ctx context.Context, goroutines int, lasts time.Duration, lock func(i int) (*sqllock.Client, string),
) (timings, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var all timings
	var group sync.WaitGroup
	begun := time.Now()
	for i := range goroutines {
		group.Go(func() {
			client, name := lock(i)
			var own []time.Duration
			for len(own) == 0 || time.Since(begun) < lasts {
				from := time.Now()
				held, err := client.Acquire(ctx, name)
				if err == nil {
					err = held.Release(ctx)
				}
				if err != nil {
					cancel(err)
					return
				}
				own = append(own, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			all.each = append(all.each, own...)
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return all, err
	}
	all.took = time.Since(begun)
	slices.Sort(all.each)
	return all, nil
}

// showBench prints the results for people.
func (a *app) showBench(results []benchResult) error {
	if a.json {
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "GOROUTINES\tCYCLES/S\tP50\tP99\tHAND-OVERS/S\tEVERY")
	for _, r := range results {
		_, _ = fmt.Fprintf(w, "%d\t%.0f\t%.2f ms\t%.2f ms\t%.0f\t%.2f ms\n",
			r.Goroutines, r.Cycles, r.CycleMedian, r.Cycle99, r.HandOvers, r.HandOverInterval)
	}
	return w.Flush()
}
