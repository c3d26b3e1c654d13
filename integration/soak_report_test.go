package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// soakResult is what a soak of one engine has counted.
type soakResult struct {
	engine, version string
	seed            uint64
	took            time.Duration
	rounds          int
	outcomes        map[outcome]int // of the jobs
	reads           int             // under a shared lock, with a guard
	onces, sessions int
	terms           int
	faults          map[string]int

	overlaps, back, wrong, leaks int

	samples []soakFigures
	grown   []string // what has grown, with the figures
	judged  bool     // whether there are enough samples to say so
}

// soakFigures are measured after each round, at rest. The first worker is the process.
type soakFigures [soakFigureCount]int64

const (
	residentMemory = iota
	heapInUse
	goroutines
	poolConnections
	serverConnections
	tableRows
	tableBytes
	deadRows
	soakFigureCount
)

// soakFigureNames describe the figures. The last third of a run may have more than the middle third
// by percent, and by plus beyond that, because of chance.
var soakFigureNames = [soakFigureCount]struct {
	name    string
	percent int64
	plus    int64
}{
	residentMemory:    {"resident memory of a process, bytes", 15, 8 << 20},
	heapInUse:         {"heap of a process after a collection, bytes", 15, 4 << 20},
	goroutines:        {"goroutines of a process", 10, 5},
	poolConnections:   {"connections of a process's pool", 0, 2},
	serverConnections: {"connections at the server", 20, 5},
	tableRows:         {"rows of sqllock's tables", 25, 50},
	tableBytes:        {"bytes of sqllock's tables (SQLite: of the file)", 25, 1 << 20},
	deadRows:          {"dead rows (InnoDB: history list; SQLite: free pages)", 50, 5000},
}

var (
	soakTables = []string{
		"sqllock_leases", "sqllock_locks", "sqllock_waiters", "sqllock_outcomes", "sqllock_breaks",
	}
	soakVersion = map[string]string{
		"sqlite": "SELECT sqlite_version()", "postgres": "SHOW server_version", "mysql": "SELECT VERSION()",
	}
	soakQueries = map[string]map[int]string{
		"sqlite": {
			tableBytes: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
			deadRows:   "SELECT freelist_count FROM pragma_freelist_count",
		},
		"postgres": {
			serverConnections: "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()",
			tableBytes: "SELECT SUM(pg_total_relation_size(oid))::bigint FROM pg_class " +
				"WHERE relname LIKE 'sqllock%' AND relkind = 'r'",
			deadRows: "SELECT SUM(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'sqllock%'",
		},
		"mysql": {
			serverConnections: "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE()",
			tableBytes: "SELECT /*+ SET_VAR(information_schema_stats_expiry = 0) */ " +
				"CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables " +
				"WHERE table_schema = DATABASE() AND table_name LIKE 'sqllock%'",
			deadRows: "SELECT `count` FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'",
		},
	}
)

// soakLeastSamples is how many samples each third needs, so that chance doesn't decide.
const soakLeastSamples = 3

// thirds returns the medians of the middle and the last third of a figure's samples. The first
// third is the warm-up.
func (r *soakResult) thirds(figure int) (middle, last int64) {
	n := len(r.samples) / 3
	median := func(part []soakFigures) int64 {
		var values []int64
		for _, f := range part {
			values = append(values, f[figure])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return median(r.samples[n : 2*n]), median(r.samples[len(r.samples)-n:])
}

// judge finds what has grown. Without enough samples it says nothing.
func (r *soakResult) judge() {
	if r.judged = len(r.samples) >= 3*soakLeastSamples; !r.judged {
		return
	}
	for i, f := range soakFigureNames {
		if middle, last := r.thirds(i); last > middle+middle*f.percent/100+f.plus {
			r.grown = append(r.grown, fmt.Sprintf("%s: from %d to %d", f.name, middle, last))
		}
	}
}

// soakReport is the report of a whole run.
type soakReport struct {
	lasts  time.Duration
	commit string

	mu      sync.Mutex // guards results
	results []*soakResult
}

func (r *soakReport) add(result *soakResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
}

// write writes the report in Markdown, unless path is empty.
func (r *soakReport) write(t *testing.T, path string) {
	t.Helper()
	if path == "" {
		return
	}
	var b strings.Builder
	cycles := 0
	for _, result := range r.results {
		cycles += result.outcomes[wrote]
	}
	fmt.Fprintf(&b, "# Soak\n\nMade by `make soak SOAK=%s`", r.lasts)
	if engines := os.Getenv("SQLLOCK_TEST_ENGINES"); engines != "" {
		fmt.Fprintf(&b, " with `SQLLOCK_TEST_ENGINES=%s`", engines)
	}
	fmt.Fprintf(&b, ", at commit %s, on %s, %s/%s with %d cores, %s. The time counts for each engine.\n\n"+
		"%d guarded writes in all. The goal is eight hours and 10,000,000 guarded writes.\n",
		r.commit, time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		runtime.Version(), cycles)
	for _, result := range r.results {
		result.describe(&b)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// soakCommit returns the commit of the working tree, as git describes it.
func soakCommit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (r *soakResult) describe(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s %s\n\n%s in %d rounds, with %d processes and seed %d.\n\n| counted | |\n| --- | ---: |\n",
		r.engine, r.version, r.took.Round(time.Second), r.rounds, soakWorkers, r.seed)
	row := func(name string, n int) { fmt.Fprintf(b, "| %s | %d |\n", name, n) }
	row("guarded writes", r.outcomes[wrote])
	row("overlaps", r.overlaps)
	row("fences that didn't grow", r.back)
	row("writes lost, doubled or not reported", r.wrong)
	row("rounds that left a lock", r.leaks)
	for _, o := range []outcome{refused, late, failed, inDoubt} {
		row("writes that were "+string(o), r.outcomes[o])
	}
	row("guarded reads under a shared lock", r.reads)
	row("outcomes of once.Do", r.onces)
	row("session locks", r.sessions)
	row("terms of leaders", r.terms)
	for _, f := range soakFaults {
		row(f.name, r.faults[f.name])
	}
	row(soakFrozen, r.faults[soakFrozen])
	row(soakKilled, r.faults[soakKilled])
	if !r.judged {
		fmt.Fprintf(b, "\nToo short to say whether anything grows: %d samples.\n", len(r.samples))
		return
	}
	b.WriteString("\nAt rest after a round, the first third being the warm-up; medians of the middle and the last " +
		"third:\n\n" +
		"| figure | middle | last | tolerated | |\n| --- | ---: | ---: | ---: | --- |\n")
	for i, f := range soakFigureNames {
		middle, last := r.thirds(i)
		limit, verdict := middle+middle*f.percent/100+f.plus, "within"
		if last > limit {
			verdict = "**beyond**"
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %s |\n", f.name, middle, last, limit, verdict)
	}
}

// TestSoakJudges checks that growth is seen, and chance is not taken for growth.
func TestSoakJudges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		sample func(i int) int64
		grows  bool
	}{
		{"flat", func(int) int64 { return 100 }, false},
		{"up and down", func(i int) int64 { return 100 + int64(i%2)*8 }, false},
		{"warm-up", func(i int) int64 { return min(100, 20+int64(i)*20) }, false},
		{"a leak", func(i int) int64 { return 100 + int64(i)*4 }, true},
	} {
		r := &soakResult{}
		for i := range 15 {
			r.samples = append(r.samples, soakFigures{goroutines: c.sample(i)})
		}
		if r.judge(); (len(r.grown) > 0) != c.grows || !r.judged {
			t.Errorf("%s: what grows is %q", c.name, r.grown)
		}
	}
	short := &soakResult{samples: make([]soakFigures, 3*soakLeastSamples-1)}
	if short.judge(); short.judged {
		t.Error("too few samples are judged")
	}
}
