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

// turn is one time that a process had the hot lock, on the clock that all processes of a machine share.
type turn struct {
	Worker        int
	Got, Released int64 // nanoseconds; Released is right before the release was begun
}

// handovers measures how one hot name goes from process to process.
func (b *bench) handovers() ([]*report.Table, func()) {
	var tables []*report.Table
	for _, n := range b.processes {
		tables = append(tables, &report.Table{
			Title: fmt.Sprintf("One hot name, %d processes waiting", n),
			Text: fmt.Sprintf("%d processes want the same name. The one that has it releases it at once, and queues up again when another "+
				"has got it. The hand-over's latency is from right before the release to when the next holder runs; statements are "+
				"all that the server has executed (Redis: commands; etcd: messages), divided by the hand-overs. The "+
				"processes get some time to settle first.", n+1),
		})
	}
	kinds := b.chosen(tables, func(k lockers.Kind) bool { return k.Sluggish == "" })
	for _, k := range b.kinds {
		for _, t := range tables {
			if k.Sluggish != "" {
				t.Note("%s is left out: %s.", k.Name, k.Sluggish)
			}
		}
	}
	workers := startCrew(b.T, slices.Max(b.processes)+1)
	return tables, func() {
		b.oneCommit(tables)
		for i, n := range b.processes {
			for _, k := range kinds {
				b.targets[k.Server].counting(b.T, true)
				turns, used, err := b.handOver(k, workers[:n+1])
				b.targets[k.Server].counting(b.T, false)
				if err != nil {
					b.failed(tables[i], k.String(), "a second", err)
					continue
				}
				b.addHandovers(tables[i], k, turns, used)
			}
		}
	}
}

// oneCommit is what a hand-over can be compared with: half a cycle by hand, alone.
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

func (b *bench) addHandovers(t *report.Table, k lockers.Kind, turns []turn, used counts) {
	t.Columns = handoverColumns
	latencies := latencies(turns)
	t.Add(k.String(), "a second", float64(len(latencies))/b.window().Seconds())
	if len(latencies) == 0 {
		return
	}
	t.Add(k.String(), "p50 ms", millis(report.Percentile(latencies, 50)))
	t.Add(k.String(), "p99 ms", millis(report.Percentile(latencies, 99)))
	switch {
	case b.targets[k.Server].count == nil:
	case used.statements <= 0:
		b.failed(t, k.String(), "statements each", errors.New("the server's count of statements stands still"))
	default:
		t.Add(k.String(), "statements each", used.statements/float64(len(latencies)))
	}
}

// latencies are those of the hand-overs from one process to another; the turns come in any order.
func latencies(turns []turn) (all []time.Duration) {
	slices.SortFunc(turns, func(a, b turn) int { return int(a.Got - b.Got) })
	for i := 1; i < len(turns); i++ {
		if turns[i].Worker != turns[i-1].Worker {
			all = append(all, time.Duration(turns[i].Got-turns[i-1].Released))
		}
	}
	return all
}

// window is how long hand-overs are looked at.
func (b *bench) window() time.Duration { return max(b.round, 100*time.Millisecond) }

// settling is how long a crew gets before it is looked at: each of its processes connects when it has to wait for the first
// time, and a hundred of them take more than a second for that on two cores.
func (b *bench) settling(workers int) time.Duration {
	return b.window() + time.Duration(workers)*20*time.Millisecond
}

// handOver lets the workers have the name in turn, and answers the turns of the window.
func (b *bench) handOver(k lockers.Kind, workers []*workerProcess) (turns []turn, used counts, err error) {
	s := b.targets[k.Server]
	shared := filepath.Join(b.TempDir(), "board")
	open := order{Do: "open", Kind: k.String(), Config: lockers.Config{URL: s.url, TTL: ttl, Conns: 2}, Board: shared}
	if err := makeBoard(shared); err != nil {
		return nil, used, err
	}
	if _, err := tell(workers, open); err != nil {
		_, second := tell(workers, order{Do: "close"})
		return nil, used, errors.Join(err, second)
	}
	_, err = tell(workers, order{Do: "start", Name: "bench/hot/" + strconv.Itoa(len(workers))})
	time.Sleep(b.settling(len(workers)))
	var before, after counts
	ask := func(c *counts) int64 {
		if s.count != nil {
			got, e := s.count(b.Context())
			*c, err = got, errors.Join(err, e)
		}
		return monotonic()
	}
	from := ask(&before)
	time.Sleep(b.window())
	to := ask(&after)
	answers, stopped := tell(workers, order{Do: "stop"})
	_, closed := tell(workers, order{Do: "close"})
	for i, a := range answers {
		for _, t := range a.Turns {
			t.Worker = i
			if t.Got >= from && t.Got < to {
				turns = append(turns, t)
			}
		}
	}
	return turns, after.since(before), errors.Join(err, stopped, closed)
}
