//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each exit code of run that does not need another process.
func TestRunExitCodes(t *testing.T) {
	newDatabase(t)
	dir := t.TempDir()
	check(t, []want{
		{"run a -- true", 0, "", ""},
		{"run a -- false", 1, "", ""},
		{"run a", 64, "", "needs a --"},
		{"run -- true", 64, "", "needs the NAME"},
		{"run a b -- true", 64, "", "--all"},
		{"run a --", 64, "", "needs a command"},
		{"run a --nosuch -- true", 64, "", "unknown flag"},
		{"run a --shell -- echo b", 64, "", "single argument"},
		{"run a --shared -n 2 -- true", 64, "", "exclude each other"},
		{"run a --try -w 2 -- true", 64, "", "doesn't go with"},
		{"run a --at tomorrow -- true", 64, "", "with its zone"},
		{"run a --ttl 1ms -- true", 64, "", "TTL"},
		{"run a --ttl 5s --clock-skew 5s -- true", 64, "", "the TTL must be at least 5.1s"},
		{"run a --clock-skew 5s -- true", 0, "", ""},
		{"run a --session -- true", 69, "", "session locks"},
		{"run a -- nosuchprogram", 127, "", "there is no program"},
		{"run a -- " + dir, 126, "", "can't be run"},
		{"run a --database-url-file nosuchfile -- true", 64, "", "nosuchfile"},
		{"run a --database sqlite://" + dir + "/no.db -- true", 69, "", "there is no file"},
		{"run a --database postgres://u:hidden@127.0.0.1:1/d -- true", 69, "", "refused"},
		{"run a --database mysql://u:hidden@127.0.0.1:1/d -- true", 69, "", "refused"},
		{"run a --database nosuch://u:hidden@h/d -- true", 64, "", "xxxxx"},
	})
	check(t, []want{{"run a --", 5, "", ""}}, "sh", "-c", "exit 5")
	check(t, []want{{"run a --", 128 + 9, "", ""}}, "sh", "-c", "kill -9 $$")
	check(t, []want{{"run a --shell --", 6, "b c\n", ""}}, "echo b c; exit 6")
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, []want{{"run a --database sqlite://" + empty + " -- true", 78, "", "own up"}})
}

// A password never shows, whatever is wrong with the URL that has it.
func TestPasswords(t *testing.T) {
	for _, url := range []string{
		"postgres://u:s3cret@127.0.0.1:1/d", "mysql://u:s3cret@tcp(127.0.0.1:1)/d", "nosuch://u:s3cret@h/d",
		"postgres://u:s3cret@127.0.0.1:nosuch/d",
	} {
		code, stdout, stderr := command(t, "run a --json --database "+url+" -- true")
		if code == 0 || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("run with %s ends with %d and writes:\n%s%s", url, code, stdout, stderr)
		}
	}
	t.Setenv("SQLLOCK_DATABASE_URL", "postgres://u:s3cret@127.0.0.1:nosuch/d")
	for _, line := range []string{"run a --json -- true", "ls --json", "doctor", "show a", "break a", "wait a --free"} {
		if code, stdout, stderr := command(t, line); code != 64 || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%s ends with %d, want 64, and no password in:\n%s%s", line, code, stdout, stderr)
		}
	}
}

// The child has the lock in its environment, and nothing of an outer run.
func TestRunEnvironment(t *testing.T) {
	newDatabase(t)
	t.Setenv(envName, "outer")
	t.Setenv(envOwner, "outer")
	show := []string{"sh", "-c", `echo "$SQLLOCK_NAME|$SQLLOCK_FENCE|$SQLLOCK_OWNER|$SQLLOCK_SLOT"`}
	for _, line := range []string{"run a --", "run a --shared --", "run a --writer --", "run a -n 3 --"} {
		_, stdout, _ := command(t, line, show...)
		fields := strings.Split(strings.TrimSpace(stdout), "|")
		fence, err := strconv.ParseInt(fields[1], 10, 64)
		if fields[0] != "a" || err != nil || fence < 1e15 || len(fields[2]) != 26 || fields[3] == "" {
			t.Errorf("%s: the child has %q", line, stdout)
		}
	}
	_, stdout, _ := command(t, "run a b --all --", "sh", "-c", `echo "$SQLLOCK_FENCE" | wc -l; echo "$SQLLOCK_NAME"`)
	if strings.Fields(stdout)[0] != "2" || !strings.HasSuffix(stdout, "a\nb\n") {
		t.Errorf("with two locks the child has %q; want a line for each", stdout)
	}
}

// A session lock has a name only. Its child must not take an outer lock's fence for its own.
func TestSessionEnvironment(t *testing.T) {
	outer := []string{"X=1", envName + "=outer", envFence + "=1", envOwner + "=outer", envSlot + "=0"}
	got := (&holding{names: []string{"a"}}).environment(outer)
	if want := []string{"X=1", envName + "=a"}; !slices.Equal(got, want) {
		t.Errorf("the child has %q, want %q", got, want)
	}
}

// -E replaces the exit code 75 and no other, and --quiet says nothing about it.
func TestRunNotAcquired(t *testing.T) {
	newDatabase(t)
	holder := start(t, "signals", "run a --events json --note because --", testBinary)
	started := holder.await("started")
	check(t, []want{
		{"run a --try -- true", 75, "", "because"},
		{"run a -w 0 -- true", 75, "", fmt.Sprint("[", holder.Process.Pid, "]")},
		{"run a -w 1s -- true", 75, "", "waiting for \"a\", held by "},
		{"run a --try -E 9 -- true", 9, "", "not acquired"},
		{"run a --try -E 0 -- true", 0, "", "not acquired"},
		{"run a --try -E 9 -- false", 9, "", ""},
		{"run b --try -E 9 -- false", 1, "", ""},
		{"run a --writer --try -- true", 0, "", ""}, // another kind
	})
	if code, stdout, stderr := command(t, "run a --try -q -- true"); code != 75 || stdout+stderr != "" {
		t.Errorf("--quiet ends with %d and says %q, want 75 and nothing", code, stdout+stderr)
	}
	_, _, stderr := command(t, "run a --try --json -- true")
	var doc document
	err := json.Unmarshal([]byte(stderr), &doc)
	if err != nil || doc.Error.Exit != 75 || doc.Error.Kind != "not acquired" {
		t.Errorf("--json wrote %s (%v)", stderr, err)
	}
	_ = syscall.Kill(started.PID, syscall.SIGTERM)
	holder.end(7)
}

// Kinds exclude each other as they should.
func TestRunKinds(t *testing.T) {
	newDatabase(t)
	for _, c := range []struct {
		held       string
		excluded   []string
		notByThese []string
	}{
		{"a", []string{"a", "a b --all"}, []string{"a --shared", "a -n 1", "b"}},
		{"a --shared", []string{"a --writer"}, []string{"a --shared", "a"}},
		{"a --writer", []string{"a --writer", "a --shared"}, []string{"a"}},
		{"a -n 1", []string{"a -n 1"}, []string{"a -n 2", "a"}},
		{"a b --all", []string{"a", "b", "b c --all"}, []string{"c"}},
	} {
		holder := start(t, "signals", "run "+c.held+" --events json --", testBinary)
		holder.line("ready")
		for _, args := range c.excluded {
			check(t, []want{{"run " + args + " --try -- true", 75, "", "not acquired"}})
		}
		for _, args := range c.notByThese {
			check(t, []want{{"run " + args + " --try -- true", 0, "", ""}})
		}
		holder.signal(syscall.SIGTERM)
		holder.end(7)
	}
}

// A run says for whom it waits, and says so again when that changes. It is served in turn.
func TestRunWaits(t *testing.T) {
	newDatabase(t)
	first := start(t, "signals", "run a --identity first --events json --", testBinary)
	first.line("ready")
	second := start(t, "signals", "run a --identity second --fair --events json --", testBinary)
	if e := second.await("waiting"); e.Held.Holder != "first" || e.Held.Since == nil || e.Held.Fence == 0 {
		t.Errorf("the second waits for %+v", e.Held)
	}
	third := start(t, "signals", "run a --identity third --fair --events json --", testBinary)
	if e := third.await("waiting"); e.Held.Holder != "second" || !e.Held.Queued {
		t.Errorf("the third waits for %+v; want the second, which is first in the queue", e.Held)
	}
	first.signal(syscall.SIGTERM)
	first.end(7)
	second.line("ready")
	for e := third.await("waiting"); e.Held.Holder != "second" || e.Held.Queued; { // until that one holds the lock
		e = third.await("waiting")
	}
	second.signal(syscall.SIGTERM)
	second.end(7)
	third.line("ready")
	third.signal(syscall.SIGTERM)
	third.end(7)
}

// A run that would wait for the run in which it runs says so at once.
func TestRunInItself(t *testing.T) {
	newDatabase(t)
	path := commandPath(t)
	for _, flag := range []string{"", " --try"} {
		line := fmt.Sprintf("exec %s run a%s -- true", path, flag)
		check(t, []want{{"run a --shell --", 75, "", "runs under that lock itself"}}, line)
	}
}

// Every signal reaches the child, which decides what becomes of it.
func TestRunForwardsSignals(t *testing.T) {
	newDatabase(t)
	p := start(t, "signals", "run a --events json --", testBinary)
	p.line("ready")
	for _, s := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGWINCH, syscall.SIGABRT, syscall.SIGTSTP, syscall.SIGTERM,
	} {
		p.signal(s)
		if got := p.line(""); got != strconv.Itoa(int(s)) {
			t.Errorf("after signal %d the child got %s", int(s), got)
		}
	}
	p.end(7)
}

// A signal that is ignored, as by nohup, stays ignored.
func TestRunUnderNohup(t *testing.T) {
	newDatabase(t)
	path := commandPath(t)
	cmd := self(t, "", "-c", fmt.Sprintf("trap '' HUP; exec %s run a --shell -- "+
		"'kill -HUP $PPID; kill -HUP $$; echo on'", path))
	cmd.Path = "/bin/sh"
	out, err := cmd.Output()
	if string(out) != "on\n" || err != nil {
		t.Errorf("with SIGHUP ignored the run wrote %q and ended with %v", out, err)
	}
}

// A signal while the lock is waited for ends the wait, leaves the queue, and runs nothing.
func TestSignalWhileWaiting(t *testing.T) {
	db := newDatabase(t)
	holder := start(t, "signals", "run a --events json --", testBinary)
	holder.line("ready")
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		p := start(t, "", "run a --fair --events json -- echo ran")
		p.await("waiting")
		p.signal(s)
		if out := p.end(128 + int(s)); len(out) > 0 {
			t.Errorf("after signal %d the command ran: %q", int(s), out)
		}
		if n := query(t, db, "SELECT count(*) FROM sqllock_waiters"); n != 0 {
			t.Errorf("signal %d left %d waiters in the queue", int(s), n)
		}
	}
	holder.signal(syscall.SIGTERM)
	holder.end(7)
	if n := query(t, db, "SELECT count(*) FROM sqllock_leases"); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}

// A lock that is lost because the database doesn't answer: the child is told when the trust ends,
// and is gone before the lease has run out by the database's clock.
func TestLostByOutage(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "stubborn", "run a --ttl 2s --events json --", testBinary)
	p.line("ready")
	lateness := watchTimers(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// No heartbeat gets in from now on.
	if _, err := tx.ExecContext(t.Context(), "UPDATE sqllock_leases SET holder = holder"); err != nil {
		t.Fatal(err)
	}
	expires := query(t, tx, "SELECT expires_at FROM sqllock_leases")
	stopping := p.await("stopping")
	p.await("killed")
	_ = tx.Rollback() // the run releases what it can
	lines := p.end(76)
	told, last := times(t, lines)
	late := lateness().Microseconds() // a stalled machine delays every timer
	if stopping.Left == nil || *stopping.Left > 200 || *stopping.Left <= 0 && late < 50_000 {
		t.Errorf("when the child was told, the lease had %v ms left; want up to 200, a tenth of the TTL", stopping.Left)
	}
	if told == 0 || told >= expires+late {
		t.Errorf("the child was told %d µs before the lease ran out", expires-told)
	}
	if last > expires+late {
		t.Errorf("the child lived for %d µs after the lease had run out", last-expires)
	}
	if !strings.Contains(p.errs.String()+stopping.Message, "no heartbeat has succeeded") {
		t.Errorf("the run says: %s %s", stopping.Message, p.errs)
	}
}

// times returns when a stubborn child was told to end, and when it lived last.
func times(t *testing.T, lines []string) (told, last int64) {
	t.Helper()
	for _, line := range lines {
		if strings.HasPrefix(line, "told") && told == 0 {
			told = micros(t, line)
		}
		if strings.HasPrefix(line, "told") || strings.HasPrefix(line, "alive") {
			last = micros(t, line)
		}
	}
	return told, last
}

// A lock whose lease is over, as the database says: another may have it already, so there is no
// time for the child.
func TestLostLease(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "stubborn", "run a --ttl 1s --events json --", testBinary)
	p.line("ready")
	if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_leases"); err != nil {
		t.Fatal(err)
	}
	if e := p.await("stopping"); *e.Left != 0 {
		t.Errorf("the lease is gone, and yet %v ms are left", *e.Left)
	}
	p.end(76)
}

// A child that ends in time is not killed, and what it has left behind in its group is.
func TestLostGently(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "", "run a --ttl 2s --events json --", "sh", "-c",
		"trap 'echo bye; exit 0' TERM; (trap '' TERM; echo ready; sleep 60; echo late) & wait; wait")
	p.line("ready")
	if _, err := db.ExecContext(t.Context(), "UPDATE sqllock_locks SET owner = 'another'"); err != nil {
		t.Fatal(err)
	}
	if out := p.end(76); !slices.Equal(out, []string{"bye"}) {
		t.Errorf("the child wrote %q; want that it says bye and nothing is left of it", out)
	}
	if !strings.Contains(p.errs.String(), "broken") {
		t.Errorf("the run doesn't say why: %s", p.errs)
	}
}

// --timeout sends SIGTERM, and SIGKILL --kill-after that.
func TestTimeout(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "stubborn", "run a --timeout 2s --kill-after 50ms --events json --", testBinary)
	told, killed := p.await("stopping").Time, p.await("killed").Time
	if between := killed.Sub(told); between < 40*time.Millisecond {
		t.Errorf("the child was killed %v after it was told to end; want 50 ms", between)
	}
	if told, _ := times(t, p.end(124)); told == 0 {
		t.Error("the child was not told")
	}
	check(t, []want{{"run a --timeout 50ms -- sleep 60", 124, "", "longer than 50ms"}})
	if n := query(t, db, "SELECT count(*) FROM sqllock_locks WHERE lease_id IS NOT NULL"); n != 0 {
		t.Error("the lock is still held")
	}
}

// The lock stays taken for --hold-at-least, even if the command ends earlier.
func TestHoldAtLeast(t *testing.T) {
	newDatabase(t)
	check(t, []want{
		{"run a --hold-at-least 60 -- true", 0, "", ""},
		{"run a --try -- true", 75, "", "HoldAtLeast"},
		{"run a -w 1s -- true", 75, "", "which nobody holds"},
		{"run b --hold-at-least 1us -- true", 0, "", ""},
		{"run b --try -- true", 0, "", ""},
	})
}

func TestOnce(t *testing.T) {
	newDatabase(t)
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	check(t, []want{{"run a --once k --", 3, "tried", ""}}, sh("echo tried; exit 3")...)
	check(t, []want{{"run a --once k --", 0, "done", ""}}, sh("echo done")...)
	if code, stdout, stderr := command(t, "run a --once k --", sh("echo again")...); code != 0 || stdout != "" ||
		!strings.Contains(stderr, "nothing to do") {
		t.Errorf("the second time it ends with %d and writes %q, %q", code, stdout, stderr)
	}
	check(t, []want{{"run a --once f --remember-failure --", 4, "failed", ""}}, sh("echo failed; exit 4")...)
	if code, stdout, _ := command(t, "run b --once f --", sh("echo again")...); code != 4 || stdout != "" {
		t.Errorf("a remembered failure ends with %d and writes %q", code, stdout)
	}
	const at = "run a --at 2026-12-01T03:00:00Z --"
	check(t, []want{{at, 3, "", ""}}, "sh", "-c", "exit 3")
	check(t, []want{{at, 0, "ran", ""}}, "echo", "ran")
	code, stdout, _ := command(t, "run a --at 2026-12-01T04:00:00+01:00 --", "echo", "again")
	if code != 0 || stdout != "" {
		t.Errorf("the same time once more ends with %d and writes %q", code, stdout)
	}
}

// The URL may come from a file. Two sources of one rank are refused.
func TestURLFile(t *testing.T) {
	newDatabase(t)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(os.Getenv("SQLLOCK_DATABASE_URL")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SQLLOCK_DATABASE_URL_FILE", file)
	check(t, []want{{"ls", 64, "", "both set"}, {"ls --database-url-file " + file, 0, "NAME", ""}})
	t.Setenv("SQLLOCK_DATABASE_URL", "")
	check(t, []want{
		{"ls", 0, "NAME", ""},
		{"ls --database nosuch://", 64, "", "nosuch"},
		{"ls --database nosuch:// --database-url-file x", 64, "", "exclude each other"},
	})
}
