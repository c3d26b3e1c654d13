package bench

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
)

// hold is one time that a process held the hot lock, on the clock that all processes of the machine
// share.
type hold struct {
	Worker        int
	Got, Released int64 // nanoseconds; Released is taken right before the release
}

// handovers measures how one hot name passes from process to process.
func (b *bench) handovers() ([]*report.Table, func()) {
	var tables []*report.Table
	for _, n := range b.processes {
		tables = append(tables, &report.Table{
			Title: fmt.Sprintf("One hot name, %d processes waiting", n),
			Text: fmt.Sprintf("%d processes want the same name. The one that has it releases it at once, and "+
				"queues up again when another has got it. The hand-over's latency is from right before the "+
				"release to when the next holder runs; statements are all that the server has executed (Redis: "+
				"commands; etcd: messages), divided by the hand-overs. The processes get some time to warm up "+
				"first.", n+1),
		})
	}
	kinds := b.chosen(tables, func(k lockers.Kind) bool { return k.NoHandOver == "" })
	for _, k := range b.kinds {
		for _, t := range tables {
			if k.NoHandOver != "" {
				t.Note("%s is left out: %s.", k.Name, k.NoHandOver)
			}
		}
	}
	workers := startWorkers(b.T, slices.Max(b.processes)+1)
	return tables, func() {
		b.oneCommit(tables)
		for i, n := range b.processes {
			for _, k := range kinds {
				b.targets[k.Server].counting(b.T, true)
				holds, used, err := b.handOver(k, workers[:n+1])
				b.targets[k.Server].counting(b.T, false)
				if err != nil {
					b.failed(tables[i], k.String(), "a second", err)
					continue
				}
				b.addHandovers(tables[i], k, holds, used)
			}
		}
	}
}

// oneCommit adds a row to compare hand-overs with: half a cycle by hand, without contention.
func (b *bench) oneCommit(tables []*report.Table) {
	for _, k := range b.kinds {
		if k.Name != "by hand, a row" {
			continue
		}
		took, _, err := b.cycle(k, 1, 1, b.round)
		for _, t := range tables {
			row := "(one commit on " + k.Server + ", alone)"
			if err != nil {
				b.failed(t, row, "p50 ms", err)
				continue
			}
			t.Row(row)
			t.Columns = handoverColumns
			t.Add(row, "p50 ms", millis(report.Percentile(took, 50))/2)
			t.Add(row, "p99 ms", millis(report.Percentile(took, 99))/2)
		}
	}
}

var handoverColumns = []string{"a second", "p50 ms", "p99 ms", "statements each"}

func (b *bench) addHandovers(t *report.Table, k lockers.Kind, holds []hold, used counts) {
	t.Columns = handoverColumns
	latencies := latencies(holds)
	t.Add(k.String(), "a second", float64(len(latencies))/b.window().Seconds())
	if len(latencies) == 0 {
		return
	}
	t.Add(k.String(), "p50 ms", millis(report.Percentile(latencies, 50)))
	t.Add(k.String(), "p99 ms", millis(report.Percentile(latencies, 99)))
	switch {
	case b.targets[k.Server].count == nil:
	case used.statements <= 0:
		b.failed(t, k.String(), "statements each", errors.New("the server's count of statements hasn't changed"))
	default:
		t.Add(k.String(), "statements each", used.statements/float64(len(latencies)))
	}
}

// latencies returns the latencies of the hand-overs from one process to another. The holds may be
// in any order.
func latencies(holds []hold) (all []time.Duration) {
	slices.SortFunc(holds, func(a, b hold) int { return int(a.Got - b.Got) })
	for i := 1; i < len(holds); i++ {
		if holds[i].Worker != holds[i-1].Worker {
			all = append(all, time.Duration(holds[i].Got-holds[i-1].Released))
		}
	}
	return all
}

// window returns how long hand-overs are measured.
func (b *bench) window() time.Duration { return max(b.round, 100*time.Millisecond) }

// warmUp returns how long the workers run before they are measured. Each process connects when it
// has to wait for the first time, and a hundred of them take more than a second for that on two
// cores.
func (b *bench) warmUp(workers int) time.Duration {
	return b.window() + time.Duration(workers)*20*time.Millisecond
}

// handOver lets the workers take the name in turn, and returns the holds within the window.
func (b *bench) handOver(k lockers.Kind, workers []*workerProcess) (holds []hold, used counts, err error) {
	s := b.targets[k.Server]
	file := filepath.Join(b.TempDir(), "shared")
	open := command{
		Do: "open", Kind: k.String(), Config: lockers.Config{URL: s.url, TTL: ttl, Conns: 2}, Shared: file,
	}
	if err := makeShared(file); err != nil {
		return nil, used, err
	}
	if _, err := send(workers, open); err != nil {
		_, second := send(workers, command{Do: "close"})
		return nil, used, errors.Join(err, second)
	}
	_, err = send(workers, command{Do: "start", Name: "bench/hot/" + strconv.Itoa(len(workers))})
	time.Sleep(b.warmUp(len(workers)))
	var before, after counts
	count := func(c *counts) int64 {
		if s.count != nil {
			got, e := s.count(b.Context())
			*c, err = got, errors.Join(err, e)
		}
		return monotonic()
	}
	from := count(&before)
	time.Sleep(b.window())
	to := count(&after)
	replies, stopped := send(workers, command{Do: "stop"})
	_, closed := send(workers, command{Do: "close"})
	for i, r := range replies {
		for _, h := range r.Holds {
			h.Worker = i
			if h.Got >= from && h.Got < to {
				holds = append(holds, h)
			}
		}
	}
	return holds, after.since(before), errors.Join(err, stopped, closed)
}
