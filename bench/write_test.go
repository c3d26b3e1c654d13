package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqllock/sqllock/bench/lockers"
	"github.com/sqllock/sqllock/bench/report"
)

// plotted is a plot that is still to be drawn.
type plotted struct {
	file, title, x, y string
	lines             []report.Line
}

// plotsOf returns the plots of a section, which show how its figures change with the number of
// lockers.
func plotsOf(section string, tables []*report.Table) []plotted {
	switch section {
	case "cycles":
		var lines []report.Line
		for _, row := range tables[0].Rows() {
			line := lineOf(row)
			for _, column := range tables[0].Columns {
				at, _ := strconv.ParseFloat(column, 64)
				line.At, line.Value = append(line.At, at), append(line.Value, tables[0].Cell(row, column))
			}
			lines = append(lines, line)
		}
		return []plotted{{"cycles.svg", "Lock and unlock on distinct names", "goroutines", "cycles a second", lines}}
	case "handover":
		var lines []report.Line
		for _, row := range tables[0].Rows() {
			line := lineOf(row)
			for _, table := range tables {
				at, _ := strconv.ParseFloat(strings.Fields(table.Title)[3], 64)
				line.At, line.Value = append(line.At, at), append(line.Value, table.Cell(row, "p50 ms"))
			}
			lines = append(lines, line)
		}
		const title = "One hot name: from release to the next holder"
		return []plotted{{"handover.svg", title, "processes waiting", "median, ms", lines}}
	}
	return nil
}

func lineOf(row string) report.Line {
	k, _ := lockers.Find(row)
	return report.Line{Name: row, Bold: k.Ours()}
}

// write writes the results. In a smoke run it only logs them.
func (b *bench) write(tables []*report.Table, plots []plotted, took time.Duration) {
	b.Helper()
	folder := b.out
	if folder == "" {
		folder = b.TempDir()
	}
	var text strings.Builder
	text.WriteString(b.head(took))
	for _, p := range plots {
		if err := report.Plot(filepath.Join(folder, p.file), p.title, p.x, p.y, p.lines); err != nil {
			b.Errorf("%s: %v", p.file, err)
			continue
		}
		fmt.Fprintf(&text, "![%s](%s)\n\n", p.title, p.file)
	}
	for _, t := range tables {
		text.WriteString(t.Markdown() + "\n")
	}
	results := []byte(strings.TrimRight(text.String(), "\n") + "\n")
	if err := os.WriteFile(filepath.Join(folder, "RESULTS.md"), results, 0o644); err != nil {
		b.Fatal(err)
	}
	if b.out == "" {
		b.Log("a smoke run: the figures mean nothing, and are not kept\n" + text.String())
	}
}

// head returns the beginning of the report, which says how, where and when it was measured.
func (b *bench) head(took time.Duration) string {
	var t strings.Builder
	t.WriteString("# Results\n\nWritten by `make bench`; don't edit. Figures are medians of the rounds, with the " +
		"smallest and the greatest in brackets. All contenders ran in turn in each round, on private servers on " +
		"one machine, whose processors they shared with those servers. Only figures of one run compare with each " +
		"other.\n\n")
	fmt.Fprintf(&t, "- %s, %s, %d CPUs, %s/%s, sqllock %s\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.Version(),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, commit())
	fmt.Fprintf(&t, "- %d rounds of %s a figure; the whole run took %s\n", b.rounds, b.round, took.Round(time.Second))
	if b.only[0].String()+b.only[1].String() != "" {
		fmt.Fprintf(&t, "- only a part was measured: BENCH_ONLY=%s/%s\n", b.only[0], b.only[1])
	}
	for _, name := range sortedKeys(b.targets) {
		fmt.Fprintf(&t, "- %s: %s\n", name, b.targets[name].about)
	}
	fmt.Fprintf(&t, "- %s\n", b.versions())
	t.WriteString("- waiting: ")
	var waits []string
	for _, k := range b.kinds {
		if line := k.Name + " " + k.Waits; !k.Ours() && !slices.Contains(waits, line) {
			waits = append(waits, line)
		}
	}
	t.WriteString(strings.Join(waits, "; ") + "\n")
	t.WriteString("- not compared: River's elector, which is in an internal package " +
		"(github.com/riverqueue/river/internal/leadership)\n\n")
	return t.String()
}

// versions returns the contenders' versions. It asks the go command, because a test binary contains
// none.
func (b *bench) versions() string {
	b.Helper()
	args := append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, contending...)
	out, err := exec.CommandContext(b.Context(), "go", args...).Output()
	if err != nil {
		b.Fatalf("go list -m: %v", err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), ", ")
}

// contending lists the modules whose versions the report names.
var contending = []string{
	"cirello.io/pglock", "github.com/allisson/go-pglock/v3",
	"github.com/bsm/redislock", "github.com/go-redsync/redsync/v4",
	"github.com/go-sql-driver/mysql", "github.com/jackc/pgx/v5", "github.com/lib/pq", "github.com/redis/go-redis/v9",
	"go.etcd.io/etcd/client/v3", "modernc.org/sqlite",
}

func sortedKeys(m map[string]*target) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// commit returns the commit that make reports as checked out.
func commit() string {
	if c := os.Getenv("BENCH_COMMIT"); c != "" {
		return c
	}
	return "of this tree"
}
