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
		return b.targets[k.Server].count != nil && k.Server != "redis-fsync" // which waits as the other Redis does
	})
	for _, k := range kinds {
		for _, n := range b.settings.waiting {
			switch {
			case k.ConnEach:
				table.Say(k.String(), report.Number(float64(n)), "a connection each")
			case k.Lonely != "":
				table.Say(k.String(), report.Number(float64(n)), "not measured")
				table.Note("%s: %s.", k.Name, k.Lonely)
			}
		}
	}
	return []*report.Table{table}, func() {
		for _, k := range kinds {
			if k.ConnEach || k.Lonely != "" {
				continue
			}
			b.targets[k.Server].counting(b.T, true)
			for _, n := range b.settings.waiting {
				rate, err := b.crowdRate(k, n)
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

// settle is how long a crowd gets until it is looked at: polls have backed off by then.
func (b *bench) settle() time.Duration { return 3 * b.round }

// crowdRate is how many statements a second n waiting goroutines cost.
func (b *bench) crowdRate(k lockers.Kind, n int) (rate float64, err error) {
	l, err := b.open(k, lockers.Config{Conns: 16})
	if err != nil {
		return 0, err
	}
	disperse, err := b.gather(k, l, n)
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	window := 2 * b.round
	used, err := b.over(b.targets[k.Server], window)
	return used.statements / window.Seconds(), errors.Join(err, disperse(), l.Close())
}

// gather makes n goroutines wait through l for a lock that another client holds, and sends them home again.
func (b *bench) gather(k lockers.Kind, l lockers.Locker, n int) (disperse func() error, err error) {
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
	var wrong error
	for range n {
		waiters.Go(func() {
			if _, err := l.Lock(ctx, hot); ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				wrong = errors.Join(errors.New("a waiter didn't wait"), err)
			}
		})
	}
	time.Sleep(b.settle())
	return func() error {
		cancel()
		waiters.Wait()
		return errors.Join(wrong, unlock(b.Context()), holder.Close())
	}, nil
}

// alone measures how a crowd that waits for one lock weighs on somebody who takes another one.
func (b *bench) alone() ([]*report.Table, func()) {
	n := report.Number(float64(b.crowd))
	table := &report.Table{
		Title:   "p99 of an uncontended acquire in ms, while " + n + " goroutines of the same process wait for another name",
		Text:    "Through the same client and pool. Less is better.",
		Columns: []string{"with nobody waiting", "with " + n + " waiting", "ratio"},
	}
	kinds := b.chosen([]*report.Table{table}, func(k lockers.Kind) bool {
		return k.Lonely == "" && !k.ConnEach && k.Server != "redis-fsync" // which waits as the other Redis does
	})
	table.Note("Left out: locks that occupy a connection each, since %s waiters would leave none in the pool, and %s.", n,
		"those that goroutines of one process can't wait for")
	return []*report.Table{table}, func() {
		for _, k := range kinds {
			quiet, crowded, err := b.besideCrowd(k)
			if err != nil {
				b.failed(table, k.String(), "ratio", err)
				continue
			}
			table.Add(k.String(), table.Columns[0], millis(quiet))
			table.Add(k.String(), table.Columns[1], millis(crowded))
			table.Add(k.String(), table.Columns[2], float64(crowded)/float64(quiet))
		}
	}
}

func (b *bench) besideCrowd(k lockers.Kind) (quiet, crowded time.Duration, err error) {
	l, err := b.open(k, lockers.Config{Conns: 16})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if quiet, err = b.acquireP99(l); err != nil {
		return 0, 0, err
	}
	disperse, err := b.gather(k, l, b.crowd)
	if err != nil {
		return 0, 0, err
	}
	crowded, err = b.acquireP99(l)
	return quiet, crowded, errors.Join(err, disperse())
}

// acquireP99 is that of the acquisition alone, without the release.
func (b *bench) acquireP99(l lockers.Locker) (time.Duration, error) {
	const name = "bench/alone"
	ctx, cancel := b.while(b.round)
	defer cancel()
	if err := oneCycle(ctx, l, name); err != nil { // to warm up
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
