package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
)

// waiting measures what waiters cost the database.
func (b *bench) waiting() ([]*report.Table, func()) {
	table := &report.Table{
		Title: "Goroutines of one process that wait for a lock that is held: statements a second",
		Text:  "Another client holds the lock all the time. Less is better.",
	}
	kinds := b.chosen([]*report.Table{table}, func(k lockers.Kind) bool {
		return b.targets[k.Server].count != nil && k.Server != "redis-fsync" // waits like the other Redis
	})
	for _, k := range kinds {
		for _, n := range b.settings.waiting {
			switch {
			case k.ConnEach:
				table.Say(k.String(), report.Number(float64(n)), "a connection each")
			case k.NoLocalWait != "":
				table.Say(k.String(), report.Number(float64(n)), "not measured")
				table.Note("%s: %s.", k.Name, k.NoLocalWait)
			}
		}
	}
	return []*report.Table{table}, func() {
		for _, k := range kinds {
			if k.ConnEach || k.NoLocalWait != "" {
				continue
			}
			b.targets[k.Server].counting(b.T, true)
			for _, n := range b.settings.waiting {
				rate, err := b.waitRate(k, n)
				if err != nil {
					b.failed(table, k.String(), report.Number(float64(n)), err)
					continue
				}
				table.Add(k.String(), report.Number(float64(n)), rate)
			}
			b.targets[k.Server].counting(b.T, false)
		}
	}
}

// backOff returns how long waiters run before they are measured: by then their polls have backed
// off.
func (b *bench) backOff() time.Duration { return 3 * b.round }

// waitRate returns how many statements a second n waiting goroutines cost.
func (b *bench) waitRate(k lockers.Kind, n int) (rate float64, err error) {
	l, err := b.open(k, lockers.Config{Conns: 16})
	if err != nil {
		return 0, err
	}
	stop, err := b.startWaiters(k, l, n)
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	window := 2 * b.round
	used, err := b.over(b.targets[k.Server], window)
	return used.statements / window.Seconds(), errors.Join(err, stop(), l.Close())
}

// startWaiters makes n goroutines wait through l for a lock that another client holds. stop ends
// their wait.
func (b *bench) startWaiters(k lockers.Kind, l lockers.Locker, n int) (stop func() error, err error) {
	const hot = "bench/wanted"
	holder, err := b.open(k, lockers.Config{Conns: 2})
	if err != nil {
		return nil, err
	}
	unlock, err := holder.Lock(b.Context(), hot)
	if err != nil {
		return nil, errors.Join(err, holder.Close())
	}
	ctx, cancel := context.WithCancel(b.Context())
	var waiters sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range n {
		waiters.Go(func() {
			if _, err := l.Lock(ctx, hot); ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(errors.New("a waiter returned early"), err)
			}
		})
	}
	time.Sleep(b.backOff())
	return func() error {
		cancel()
		waiters.Wait()
		return errors.Join(failed, unlock(b.Context()), holder.Close())
	}, nil
}

// beside measures how goroutines that wait for one lock affect a goroutine that takes another one.
func (b *bench) beside() ([]*report.Table, func()) {
	n := report.Number(float64(b.settings.beside))
	table := &report.Table{
		Title: "p99 of an uncontended acquire in ms, while " + n + " goroutines of the same process wait for " +
			"another name",
		Text:    "Through the same client and pool. Less is better.",
		Columns: []string{"with nobody waiting", "with " + n + " waiting", "ratio"},
	}
	kinds := b.chosen([]*report.Table{table}, func(k lockers.Kind) bool {
		return k.NoLocalWait == "" && !k.ConnEach && k.Server != "redis-fsync" // waits like the other Redis
	})
	table.Note("Left out: locks that occupy a connection each, since %s waiters would leave none in the pool, and "+
		"%s.", n,
		"those that goroutines of one process can't wait for")
	return []*report.Table{table}, func() {
		for _, k := range kinds {
			quiet, busy, err := b.besideWaiters(k)
			if err != nil {
				b.failed(table, k.String(), "ratio", err)
				continue
			}
			table.Add(k.String(), table.Columns[0], millis(quiet))
			table.Add(k.String(), table.Columns[1], millis(busy))
			table.Add(k.String(), table.Columns[2], float64(busy)/float64(quiet))
		}
	}
}

// besideWaiters returns the latency without and with waiters for another lock.
func (b *bench) besideWaiters(k lockers.Kind) (quiet, busy time.Duration, err error) {
	l, err := b.open(k, lockers.Config{Conns: 16})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if quiet, err = b.acquireP99(l); err != nil {
		return 0, 0, err
	}
	stop, err := b.startWaiters(k, l, b.settings.beside)
	if err != nil {
		return 0, 0, err
	}
	busy, err = b.acquireP99(l)
	return quiet, busy, errors.Join(err, stop())
}

// acquireP99 returns the p99 of the acquisition, without the release.
func (b *bench) acquireP99(l lockers.Locker) (time.Duration, error) {
	const name = "bench/alone"
	ctx, cancel := b.while(b.round)
	defer cancel()
	if err := oneCycle(ctx, l, name); err != nil { // warm up
		return 0, err
	}
	var took []time.Duration
	for end := time.Now().Add(b.round); time.Now().Before(end); {
		before := time.Now()
		unlock, err := l.Lock(ctx, name)
		took = append(took, time.Since(before))
		if err != nil {
			return 0, err
		}
		if err := unlock(ctx); err != nil {
			return 0, err
		}
	}
	return report.Percentile(took, 99), nil
}
