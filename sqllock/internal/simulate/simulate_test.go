package simulate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// TestSimulate runs some rounds of fixed seeds and some of fresh ones. `make simulate` sets the
// variables that make it run for longer.
func TestSimulate(t *testing.T) {
	if os.Getenv("SQLLOCK_SIMULATE_FOR") != "" {
		simulate(t)
		return
	}
	var seeds []uint64
	for n := range uint64(12) {
		seeds = append(seeds, n, rand.Uint64N(1<<40))
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			if _, broken := run(t, generate(seed)); broken != nil {
				report(t, seed, broken)
			}
		})
	}
}

// report shortens the schedule of a seed that failed, and reports it.
func report(t *testing.T, seed uint64, broken *violation) {
	t.Helper()
	if os.Getenv("SQLLOCK_SIMULATE_SHORTEN") == "false" {
		t.Errorf("BROKEN: %s\nseed %d: %v", broken.invariant, seed, broken)
		return
	}
	short, again := shorten(t, generate(seed), broken, time.Minute)
	t.Errorf("%v\n\nseed %d, shortened to %d of %d events: %v\n%s\nAgain: make simulate SEED=%d",
		broken, seed, len(short.events), len(generate(seed).events), again, short, seed)
}

// simulate runs rounds of one seed after the other, for as long as a variable says. It prints each
// seed and, once a second, what was done. internal/simulate reads that.
func simulate(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("SQLLOCK_SIMULATE_FOR"))
	if err != nil {
		t.Fatal(err)
	}
	first, stride := number(t, "SQLLOCK_SIMULATE_SEED"), number(t, "SQLLOCK_SIMULATE_STRIDE")
	// Garbage is collected between rounds, because a collection changes the order of goroutines.
	debug.SetGCPercent(-1)
	runtime.MemProfileRate = 0
	mustRepeat(t, first)
	var all figures
	printed := time.Now()
	for seed, began := first, time.Now(); all.Rounds == 0 || time.Since(began) < lasts; seed += stride {
		fmt.Fprintln(os.Stdout, "round", seed)
		if all.Rounds%gcEvery == 0 {
			settle()
		}
		did, broken := run(t, generate(seed))
		if did.Rounds = 1; tracing {
			fmt.Fprint(os.Stderr, lastTrace)
		}
		all.add(did)
		if broken != nil {
			report(t, seed, broken)
			return
		}
		if time.Since(printed) > time.Second {
			printed = time.Now()
			line, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(os.Stdout, "did %s\n", line)
		}
	}
}

// gcEvery is after how many rounds garbage is collected.
const gcEvery = 20

// mustRepeat checks that a seed gives the same run twice, request for request.
func mustRepeat(t *testing.T, seed uint64) {
	defer func(before bool) { tracing = before }(tracing)
	tracing = true
	var traces []string
	address := regexp.MustCompile("0x[0-9a-f]+")
	for range 2 {
		settle()
		run(t, generate(seed))
		traces = append(traces, address.ReplaceAllString(lastTrace, "…"))
	}
	if traces[0] != traces[1] {
		t.Fatalf("seed %d gives two different runs:\n%s\nand\n%s", seed, traces[0], traces[1])
	}
}

// settle collects garbage, which happens only here, and lets the runtime's own goroutines finish,
// which change the order of the others.
func settle() {
	runtime.GC()
	time.Sleep(5 * time.Millisecond)
}

func number(t *testing.T, variable string) uint64 {
	n, err := strconv.ParseUint(os.Getenv(variable), 10, 64)
	if err != nil {
		t.Fatal(variable, err)
	}
	return n
}
