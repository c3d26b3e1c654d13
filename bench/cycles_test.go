package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
)

// load is the load on a pool. The best size of the pool is determined for each load.
type load struct {
	server     string
	goroutines int
}

// cycles measures lock and unlock on names that no other goroutine uses.
func (b *bench) cycles() ([]*report.Table, func()) {
	const text = "Each goroutine locks and unlocks a name of its own, again and again. "
	rate := &report.Table{Title: "Cycles a second, by goroutines", Text: text + "More is better."}
	p50 := &report.Table{Title: "A cycle's p50 in ms, by goroutines", Text: text + "Less is better."}
	p99 := &report.Table{Title: "A cycle's p99 in ms, by goroutines", Text: text + "Less is better."}
	tables := []*report.Table{rate, p50, p99}
	kinds := b.chosen(tables, func(lockers.Kind) bool { return true })
	b.choosePools(rate)
	return tables, func() {
		for _, n := range b.goroutines {
			for _, k := range kinds {
				took, elapsed, err := b.cycle(k, n, b.pool(k.Server, n), b.round)
				column := strconv.Itoa(n)
				if err != nil {
					b.failed(rate, k.String(), column, err)
					continue
				}
				rate.Add(k.String(), column, float64(len(took))/elapsed.Seconds())
				p50.Add(k.String(), column, millis(report.Percentile(took, 50)))
				p99.Add(k.String(), column, millis(report.Percentile(took, 99)))
			}
		}
	}
}

func (b *bench) pool(server string, goroutines int) int {
	if n := b.conns[load{server, goroutines}]; n > 0 {
		return n
	}
	return min(goroutines, 16)
}

// choosePools determines the pool sizes with which the rows by hand perform best, so that the
// comparison is fair to them. All other contenders on that server get the same pools.
func (b *bench) choosePools(t *report.Table) {
	sizes := []int{8, 24, 64}
	for _, k := range b.kinds {
		if k.Name != "by hand, a row" || k.Server == "sqlite" || b.out == "" {
			continue
		}
		var chosen []string
		for _, n := range b.goroutines {
			best, fastest := 0, 0.0
			for _, conns := range sizes {
				took, elapsed, err := b.cycle(k, n, conns, b.round/2)
				if rate := float64(len(took)) / elapsed.Seconds(); err == nil && n > sizes[0] && rate > fastest {
					best, fastest = conns, rate
				}
			}
			if best > 0 {
				b.conns[load{k.Server, n}] = best
				chosen = append(chosen, fmt.Sprintf("%d for %d goroutines", best, n))
			}
		}
		t.Note("Connections in the pools on %s: %s, as the rows by hand did best with, of %v.",
			k.Server, strings.Join(chosen, ", "), sizes)
	}
}

// cycle measures one contender once.
func (b *bench) cycle(
	k lockers.Kind, goroutines, conns int, d time.Duration,
) (took []time.Duration, elapsed time.Duration, err error) {
	l, err := b.open(k, lockers.Config{Conns: conns})
	if err != nil {
		return nil, 1, err
	}
	ctx, cancel := b.while(d)
	defer cancel()
	took, elapsed, err = cycleFor(ctx, l, goroutines, d)
	return took, elapsed, errors.Join(err, l.Close())
}

// cycleFor runs the goroutines for a time d. First each of them does one cycle to warm up, which
// creates the rows, opens the connections and prepares the statements.
func cycleFor(
	ctx context.Context, l lockers.Locker, goroutines int, d time.Duration,
) ([]time.Duration, time.Duration, error) {
	var warm, done sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	var first error
	begin := make(chan struct{})
	var end time.Time
	warm.Add(goroutines)
	for i := range goroutines {
		done.Go(func() {
			name := "bench/cycle/" + strconv.Itoa(i)
			err := oneCycle(ctx, l, name)
			warm.Done()
			<-begin
			var mine []time.Duration
			for err == nil && time.Now().Before(end) {
				before := time.Now()
				err = oneCycle(ctx, l, name)
				mine = append(mine, time.Since(before))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if first == nil {
				first = err
			}
		})
	}
	warm.Wait()
	begun := time.Now()
	end = begun.Add(d)
	close(begin)
	done.Wait()
	return slices.Clip(all), time.Since(begun), first
}

func oneCycle(ctx context.Context, l lockers.Locker, name string) error {
	unlock, err := l.Lock(ctx, name)
	if err != nil {
		return err
	}
	return unlock(ctx)
}
