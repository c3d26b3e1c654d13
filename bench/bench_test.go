package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
	"github.com/sqllock/sqllock/integration/servers"
)

func TestMain(m *testing.M) {
	runWorker() // doesn't return in a worker process
	servers.Main(m)
}

// bench is one run.
type bench struct {
	*testing.T
	settings
	targets map[string]*target
	kinds   []lockers.Kind // the chosen contenders whose servers are installed
	conns   map[load]int   // the chosen pool sizes
	section string
}

// section is a part of the report. Its tables are filled one round at a time. In each round all
// contenders are measured in turn, so that a disturbance of the machine affects all of them.
type section struct {
	name string
	make func(b *bench) (tables []*report.Table, round func())
}

var sections = []section{
	{"cycles", (*bench).cycles},
	{"handover", (*bench).handovers},
	{"held", (*bench).held},
	{"waiting", (*bench).waiting},
	{"beside", (*bench).beside},
	{"cold", (*bench).cold},
}

func TestBench(t *testing.T) {
	b := &bench{T: t, settings: mustSettings(t), conns: make(map[load]int)}
	begun := time.Now()
	b.start()
	var tables []*report.Table
	var plots []plotted
	for _, s := range sections {
		if !b.only[0].MatchString(s.name) {
			continue
		}
		b.section = s.name
		made, round := s.make(b)
		for i := range b.rounds {
			before := time.Now()
			round()
			b.Logf("%s: round %d of %d took %s", s.name, i+1, b.rounds, time.Since(before).Round(time.Millisecond))
		}
		tables = append(tables, made...)
		plots = append(plots, plotsOf(s.name, made)...)
	}
	if t.Failed() {
		t.Log("the results are not written, because something failed")
		return
	}
	b.write(tables, plots, time.Since(begun))
}

// start starts the servers that the chosen contenders need, and creates their tables.
func (b *bench) start() {
	b.Helper()
	var wanted []string
	for _, k := range lockers.All {
		if b.only[1].MatchString(k.String()) && !slices.Contains(wanted, k.Server) {
			wanted = append(wanted, k.Server)
		}
	}
	b.targets = startServers(b.T, wanted)
	for _, k := range lockers.All {
		s := b.targets[k.Server]
		if s == nil || !b.only[1].MatchString(k.String()) {
			continue
		}
		b.kinds = append(b.kinds, k)
		if k.Prepare == nil {
			continue
		}
		if err := k.Prepare(b.Context(), s.url); err != nil {
			b.Fatalf("%s: %v", k, err)
		}
	}
	if len(b.kinds) == 0 {
		b.Fatal("no contender is left: either BENCH_ONLY matches none, or no server is installed")
	}
}

// open opens a contender for one measurement. The caller must close the Locker.
func (b *bench) open(k lockers.Kind, c lockers.Config) (lockers.Locker, error) {
	c.URL = b.targets[k.Server].url
	if c.TTL == 0 {
		c.TTL = ttl
	}
	return k.Open(b.Context(), c)
}

// chosen returns the contenders for which fits reports true, and adds their rows to the tables in
// this order.
func (b *bench) chosen(tables []*report.Table, fits func(k lockers.Kind) bool) (chosen []lockers.Kind) {
	for _, k := range b.kinds {
		if !fits(k) {
			continue
		}
		chosen = append(chosen, k)
		for _, t := range tables {
			t.Row(k.String())
		}
	}
	return chosen
}

// failed records that a contender failed. If the contender is sqllock, the run fails.
func (b *bench) failed(t *report.Table, row, column string, err error) {
	b.Helper()
	if k, _ := lockers.Find(row); k.Ours() || b.out == "" { // a smoke run shows that everything works
		b.Errorf("%s: %s: %s: %v", b.section, row, column, err)
	}
	b.Logf("%s: %s: %s: %v", b.section, row, column, err)
	t.Say(row, column, "failed")
	t.Note("%s, %s: %.200s", row, column, fmt.Sprint(err))
}

// while returns a ctx for one measurement, so that one that hangs doesn't hold up the others.
func (b *bench) while(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.Context(), d+time.Minute)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
