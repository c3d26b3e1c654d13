package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/bench/report"
)

// programs are programs that take one lock and do nothing else.
var programs = []struct{ name, folder, server string }{
	{"sqllock on postgres15", "leases", "postgres15"},
	{"by hand (pgx, an advisory lock)", "byhand", "postgres15"},
	{"redislock on redis", "redis", "redis"},
	{"redislock on redis-fsync", "redis", "redis-fsync"},
	{"etcd concurrency on etcd", "etcd", "etcd"},
}

// cold measures the time until a program's first lock, and what the lock adds to the program's
// size.
func (b *bench) cold() ([]*report.Table, func()) {
	const first, size, added = "first lock, ms", "program, MB", "of that added to pgx, MB"
	table := &report.Table{
		Title: "Cold start, and size of the program",
		Text: "From the start of a new process, with no connection, to its first lock; and the size of that " +
			"program, which does nothing else (go build, stripped). Less is better.",
		Columns: []string{first, size, added},
	}
	built := make(map[string]string)
	sizes := make(map[string]float64)
	for _, p := range programs {
		if b.targets[p.server] == nil {
			continue
		}
		if built[p.folder] == "" {
			built[p.folder], sizes[p.folder] = b.build(p.folder)
		}
		table.Row(p.name)
		table.Add(p.name, size, sizes[p.folder])
	}
	if sizes["leases"] > 0 {
		table.Add(programs[0].name, added, sizes["leases"]-sizes["byhand"])
	}
	return []*report.Table{table}, func() {
		for range b.starts {
			for _, p := range programs {
				if built[p.folder] == "" || b.targets[p.server] == nil {
					continue
				}
				took, err := firstLock(built[p.folder], b.targets[p.server].url)
				if err != nil {
					b.failed(table, p.name, first, err)
					continue
				}
				table.Add(p.name, first, millis(took))
			}
		}
	}
}

// build compiles a program, and returns its path and its size in megabytes.
func (b *bench) build(folder string) (path string, size float64) {
	b.Helper()
	begun := time.Now()
	defer func() { b.Logf("building programs/%s took %s", folder, time.Since(begun).Round(time.Millisecond)) }()
	path = filepath.Join(b.TempDir(), folder)
	cmd := exec.CommandContext(b.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./programs/"+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return path, float64(info.Size()) / 1e6
}

// firstLock runs a program until it reports that it holds the lock, and waits until it has ended.
func firstLock(path, url string) (time.Duration, error) {
	cmd := exec.Command(path, url, "bench/cold")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	before := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, readErr := out.Read(make([]byte, 1))
	took := time.Since(before)
	if err := cmd.Wait(); err != nil || readErr != nil {
		return 0, fmt.Errorf("%s: %w, %w: %s", filepath.Base(path), err, readErr, &stderr)
	}
	return took, nil
}
