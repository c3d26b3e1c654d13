//go:build linux

package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// copyLocks makes the one lock of the database count locks, which the same process holds.
func copyLocks(t *testing.T, db *sql.DB, count int) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), `
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO sqllock_locks
		SELECT printf('many/%06d', i), slot, fence+i, lease_id, 'owner'||i, note, acquired_at, free_at, lock_delay
		FROM sqllock_locks, n WHERE name = 'a'`, count-1); err != nil {
		t.Fatal(err)
	}
}

// The first locks are printed before the last ones are read: what is deleted in between isn't
// listed. The command can't get ahead of the test by more than what fits into the pipe.
func TestLsStreams(t *testing.T) {
	const many = 30_000
	db := newDatabase(t)
	p := holder(t, "a --ttl 600")
	copyLocks(t, db, many)
	for _, flags := range []string{"", " -o jsonl", " -o name"} {
		cmd := self(t, "", strings.Fields("ls"+flags)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_locks WHERE name > 'many/010000'"); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if count := strings.Count(string(rest), "\n"); count < 9_000 || count > 20_000 {
			t.Errorf("ls%s lists %d more of %d locks, of which 20,000 were deleted after its first line",
				flags, count, many)
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_locks WHERE name <> 'a'"); err != nil {
			t.Fatal(err)
		}
		copyLocks(t, db, many)
	}
	p.finish()
}

// heapWriter measures how much memory is in use while a list is written.
type heapWriter struct {
	writes, lines int
	peak          uint64
}

func (w *heapWriter) Write(p []byte) (int, error) {
	if w.writes%10 == 0 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		w.peak = max(w.peak, stats.HeapAlloc)
	}
	w.writes++
	w.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// The memory that ls needs doesn't grow with the number of locks.
func TestLsMemory(t *testing.T) {
	db := newDatabase(t)
	p := holder(t, "a --ttl 600")
	peak := func(count int) uint64 {
		copyLocks(t, db, count)
		w := new(heapWriter)
		if code := run([]string{"ls"}, make(chan os.Signal), nil, w, os.Stderr); code != 0 || w.lines != count+1 {
			t.Errorf("ls of %d locks ended with %d and %d lines", count, code, w.lines)
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_locks WHERE name <> 'a'"); err != nil {
			t.Fatal(err)
		}
		return w.peak
	}
	few, many := peak(2_000), peak(30_000)
	t.Logf("%d KiB with 2,000 locks, %d KiB with 30,000", few>>10, many>>10)
	if many > few+1<<20 {
		t.Errorf("ls of 30,000 locks needed %d KiB, and of 2,000 %d KiB", many>>10, few>>10)
	}
	p.finish()
}
