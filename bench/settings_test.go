package bench

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// settings say what is measured, and for how long.
type settings struct {
	out    string
	round  time.Duration
	rounds int
	only   [2]*regexp.Regexp // sections, contenders

	goroutines []int // numbers of goroutines that take and release their own locks
	processes  []int // numbers of processes that wait for the hot name
	held       []int // numbers of held locks
	waiting    []int // numbers of goroutines that wait for a lock
	beside     int   // number of goroutines that wait while another lock is taken
	starts     int   // number of process starts in each round
}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{
		out: getenv("BENCH_OUT"), round: 20 * time.Millisecond, rounds: 1,
		goroutines: []int{1, 16}, processes: []int{2},
		held: []int{20}, waiting: []int{20}, beside: 20, starts: 1,
	}
	if s.out != "" {
		s.round, s.rounds = 400*time.Millisecond, 3
		s.goroutines, s.processes = []int{1, 8, 64, 512, 2048}, []int{2, 10, 100}
		s.held, s.waiting, s.beside, s.starts = []int{10, 1000, 10000}, []int{10, 1000, 10000}, 1000, 5
	}
	var err error
	if text := getenv("BENCH_ROUND"); text != "" {
		if s.round, err = time.ParseDuration(text); err != nil || s.round <= 0 {
			return s, fmt.Errorf("BENCH_ROUND is %q; it must be a duration like 700ms", text)
		}
	}
	if text := getenv("BENCH_ROUNDS"); text != "" {
		if s.rounds, err = strconv.Atoi(text); err != nil || s.rounds <= 0 {
			return s, fmt.Errorf("BENCH_ROUNDS is %q; it must be a number like 3", text)
		}
	}
	sections, contenders, _ := strings.Cut(getenv("BENCH_ONLY"), "/")
	for i, text := range []string{sections, contenders} {
		if s.only[i], err = regexp.Compile(text); err != nil {
			return s, fmt.Errorf("BENCH_ONLY: %w", err)
		}
	}
	return s, nil
}

// ttl is the TTL of leases, except where a section needs another one.
const ttl = 15 * time.Second

func TestSettings(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(key string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == key {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	smoke, err := readSettings(env())
	if err != nil || smoke.round > 100*time.Millisecond || smoke.rounds != 1 || !smoke.only[0].MatchString("cycles") {
		t.Errorf("no variable set: %+v, %v", smoke, err)
	}
	full, err := readSettings(env(
		"BENCH_OUT", ".", "BENCH_ROUND", "2s", "BENCH_ROUNDS", "5", "BENCH_ONLY", "cycles/redis"))
	if err != nil || full.round != 2*time.Second || full.rounds != 5 || full.goroutines[4] != 2048 {
		t.Errorf("all variables set: %+v, %v", full, err)
	}
	if full.only[0].MatchString("cold") || full.only[1].MatchString("sqllock") ||
		!full.only[1].MatchString("redislock on redis") {
		t.Error("BENCH_ONLY has no effect")
	}
	for _, bad := range [][2]string{
		{"BENCH_ROUND", "700"}, {"BENCH_ROUND", "-1s"}, {"BENCH_ROUNDS", "0"}, {"BENCH_ONLY", "("},
	} {
		if _, err := readSettings(env(bad[0], bad[1])); err == nil || !strings.Contains(err.Error(), bad[0]) {
			t.Errorf("%s=%s: %v", bad[0], bad[1], err)
		}
	}
}

func mustSettings(t *testing.T) settings {
	t.Helper()
	s, err := readSettings(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
