package bench

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
)

// held measures what it costs to keep locks alive.
func (b *bench) held() ([]*report.Table, func()) {
	// The leases are short, so that a short window suffices. The counts are scaled to the usual
	// TTL.
	short, window := max(5*b.round, time.Second), max(5*b.round, time.Second)
	if b.out == "" {
		short, window = ttl, b.round // a smoke run must not lose locks
	}
	cost := &report.Table{
		Title: "Locks that are held: what keeping them costs a minute",
		Text: fmt.Sprintf("One process holds the locks and keeps them alive with a heartbeat every third of the "+
			"TTL. Measured over %s with a TTL of %s, and scaled to a minute with a TTL of %s; the server's CPU "+
			"time is without what it used idle, just before. Less is better.", window, short, ttl),
	}
	memory := &report.Table{
		Title: "Locks that are held: memory",
		Text: "Of the process that holds them: heap that stays in use for each lock (after a garbage collection), " +
			"and allocations for acquiring it. The connections are open before. Less is better.",
	}
	kinds := b.chosen([]*report.Table{cost, memory}, func(k lockers.Kind) bool { return k.MeasureHeld })
	for _, k := range kinds {
		if k.Server == "redis" {
			cost.Note("Redis counts commands, those inside scripts too, and etcd messages received; neither has " +
				"rows to count.")
		}
	}
	return []*report.Table{cost, memory}, func() {
		for _, k := range kinds {
			b.targets[k.Server].counting(b.T, true)
			for _, n := range b.settings.held {
				column := report.Number(float64(n))
				// These contenders manage about 1,500 heartbeats a second.
				if most := int(500 * short.Seconds()); k.BeatsEach && n > most {
					for _, t := range []*report.Table{cost, memory} {
						t.Note("A heartbeat for each lock (%s): with the short TTL of this measurement, that many "+
							"would be too many to keep alive. Their cost grows with their number.", k.Name)
					}
					cost.Say(k.String(), column+": statements", "not measured")
					continue
				}
				if err := b.keep(k, n, short, window, cost, memory); err != nil {
					b.failed(cost, k.String(), column+": statements", err)
				}
			}
			b.targets[k.Server].counting(b.T, false)
		}
	}
}

// usage is what a server has done and used up to one moment.
type usage struct {
	counts
	cpu time.Duration
}

func (b *bench) usage(s *target) (u usage, err error) {
	if u.cpu, err = s.instance.CPU(); err != nil {
		return u, err
	}
	u.counts, err = s.count(b.Context())
	return u, err
}

// over returns what a server does and uses within a time d.
func (b *bench) over(s *target, d time.Duration) (usage, error) {
	before, err := b.usage(s)
	if err != nil {
		return before, err
	}
	time.Sleep(d)
	after, err := b.usage(s)
	return usage{after.since(before.counts), after.cpu - before.cpu}, err
}

func (b *bench) keep(k lockers.Kind, n int, short, window time.Duration, cost, memory *report.Table) (err error) {
	s := b.targets[k.Server]
	l, err := b.open(k, lockers.Config{TTL: short, Keep: true, Conns: 16})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	err = b.each(16, 16, func(i int) error { return oneCycle(b.Context(), l, "bench/warm/"+strconv.Itoa(i)) })
	if err != nil {
		return err
	}
	idle, err := b.over(s, b.round)
	if err != nil {
		return err
	}
	unlocks := make([]lockers.Unlock, n)
	before := memoryInUse()
	err = b.each(n, 64, func(i int) (err error) {
		unlocks[i], err = l.Lock(b.Context(), "bench/held/"+strconv.Itoa(i))
		return err
	})
	if err != nil {
		return err
	}
	after := memoryInUse()
	used, err := b.over(s, window)
	if err != nil {
		return err
	}
	err = b.each(n, 64, func(i int) error { return unlocks[i](b.Context()) })

	perMinute := float64(time.Minute) / float64(ttl) * float64(short) / float64(window)
	column := report.Number(float64(n))
	cost.Add(k.String(), column+": statements", used.statements*perMinute)
	cost.Add(k.String(), column+": rows", used.rows*perMinute)
	idleCPU := millis(idle.cpu) * float64(window) / float64(b.round)
	cost.Add(k.String(), column+": CPU ms", max(0, millis(used.cpu)-idleCPU)*perMinute)
	if n >= 1000 || b.out == "" { // for fewer, most of it is noise
		bytes := max(0, float64(after.HeapAlloc)-float64(before.HeapAlloc))
		memory.Add(k.String(), column+": bytes a lock", bytes/float64(n))
		memory.Add(k.String(), column+": allocations a lock", float64(after.Mallocs-before.Mallocs)/float64(n))
	}
	return err
}

// each calls do for 0 to n−1, with at most atATime calls at once, and returns one of the errors.
func (b *bench) each(n, atATime int, do func(i int) error) error {
	var group sync.WaitGroup
	work, errs := make(chan int), make(chan error, n)
	for range min(n, atATime) {
		group.Go(func() {
			for i := range work {
				if err := do(i); err != nil {
					errs <- err
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	group.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func memoryInUse() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC() // frees what the first one has finalized
	runtime.ReadMemStats(&m)
	return m
}
