//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sqllock/sqllock/dialect/dialecttest/long"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/sqllock"
)

// TestManyLocks measures what the commands that show locks need where there are very many: ls with
// a hundred thousand, top and serve with ten thousand. In its short version there are fewer.
func TestManyLocks(t *testing.T) {
	t.Parallel()
	m := manyHeld{T: t, lockCommand: buildSqllock(t), url: database(t, servers.Start(t, "postgres15"))}
	target := connect(t, m.url)
	mustTry(t, client(t, target, sqllock.Options{}), "original", sqllock.WithTTL(time.Hour))
	hold := func(n int) {
		execute(t, target, "DELETE FROM sqllock_locks WHERE name <> 'original'")
		execute(t, target, fmt.Sprintf(`INSERT INTO sqllock_locks
			(name, slot, fence, lease_id, owner, note, acquired_at, free_at, lock_delay)
			SELECT 'many/' || i, slot, fence, lease_id, 'o' || i, note, acquired_at, free_at, lock_delay
			FROM sqllock_locks, generate_series(1, %d) AS i`, n))
	}
	hold(long.Or(5_000, 100_000))
	m.list(long.Or(5_000, 100_000) + 1)
	hold(long.Or(1_000, 10_000))
	m.top()
	m.serve()
}

// manyHeld runs commands on a database in which very many locks are held.
type manyHeld struct {
	*testing.T
	lockCommand
	url string
}

// The limits, and for how long a command is watched.
const (
	firstLine  = time.Second
	listMemory = 100 << 10 // KiB
	shownShare = 0.1       // of a core
)

var shownFor = long.Or(2*time.Second, 30*time.Second)

// list checks when ls writes its first line, and what it needs of memory until shortly before its
// end.
func (m manyHeld) list(n int) {
	m.Helper()
	stall := watchOutage(m.T)
	cmd := m.command(m.url, "ls")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	defer endHanging(cmd)()
	lines, memory := bufio.NewScanner(stdout), 0
	var first time.Duration
	count := 0
	for ; lines.Scan(); count++ {
		switch count {
		case 0:
			first = time.Since(began)
		case n * 49 / 50: // what is left is more than a pipe takes
			memory = peakMemory(m.T, cmd.Process.Pid)
		}
	}
	all := time.Since(began)
	if err := cmd.Wait(); err != nil || count != n+1 { // with the titles
		m.Errorf("ls wrote %d lines of %d, %v", count, n+1, err)
	}
	m.Logf("ls, %d locks: first line after %s, the last after %s, %d KiB at most", n, first.Round(time.Millisecond),
		all.Round(time.Millisecond), memory)
	if first > firstLine+2*stall() || memory > listMemory {
		m.Errorf("want the first line within %s, and no more than %d KiB", firstLine, listMemory)
	}
}

// peakMemory returns the most that a process has had in memory, in KiB.
func peakMemory(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// top watches top in a terminal.
func (m manyHeld) top() {
	m.Helper()
	cmd := m.command(m.url, "top")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 160})
	if err != nil {
		m.Fatal(err)
	}
	defer terminal.Close()
	m.watch("top", cmd, terminal)
}

// serve watches serve while one page is open, as a browser has it.
func (m manyHeld) serve() {
	m.Helper()
	cmd := m.command(m.url, "serve", "--listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	var page string
	if _, err := fmt.Fscanln(stdout, &page); err != nil {
		m.Fatal("serve printed no address:", err)
	}
	response, err := http.Get(page + "live")
	if err != nil {
		m.Fatal(err)
	}
	defer response.Body.Close()
	m.watch("serve, with an open page", cmd, response.Body)
}

// watch reads what a command shows for a while, ends it, and checks what it needed of the CPU.
func (m manyHeld) watch(what string, cmd *exec.Cmd, shows io.Reader) {
	m.Helper()
	defer endHanging(cmd)()
	shown := make(chan int, 1)
	go func() {
		text, _ := io.ReadAll(shows)
		shown <- strings.Count(string(text), "many/")
	}()
	time.Sleep(shownFor) // what is measured is a rate
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	m.Logf("%s: %s of CPU time in %s", what, used.Round(time.Millisecond), shownFor)
	if n := <-shown; n == 0 {
		m.Errorf("%s has shown no lock", what)
	}
	if long.Enabled && used.Seconds() > shownShare*shownFor.Seconds() { // otherwise its start is most of it
		m.Errorf("%s needed more than a tenth of a core", what)
	}
}
