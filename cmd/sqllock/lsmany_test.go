//go:build linux

package main

import (
	"bufio"
	"database/sql"
	"io"
	"strings"
	"syscall"
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
			t.Errorf("ls%s lists %d more of %d locks, of which 20,000 were deleted after its first line", flags, count, many)
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_locks WHERE name <> 'a'"); err != nil {
			t.Fatal(err)
		}
		copyLocks(t, db, many)
	}
	p.finish()
}

// The memory that ls needs doesn't grow with the number of locks.
func TestLsMemory(t *testing.T) {
	db := newDatabase(t)
	p := holder(t, "a --ttl 600")
	peak := func(count int) int64 {
		copyLocks(t, db, count)
		cmd := self(t, "", "ls")
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1", "GOGC=20") // the same garbage on each machine
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(out), "\n"); got != count+1 {
			t.Errorf("ls has %d lines, want the title and %d", got, count)
		}
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_locks WHERE name <> 'a'"); err != nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KiB
	}
	few, many := peak(2_000), peak(50_000)
	t.Logf("%d KiB with 2,000 locks, %d KiB with 50,000", few, many)
	if many > few+few/4 {
		t.Errorf("ls of 50,000 locks needed %d KiB, and of 2,000 %d KiB", many, few)
	}
	p.finish()
}
