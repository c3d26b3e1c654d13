//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// holder starts a run that holds a lock until SIGTERM.
func holder(t *testing.T, flags string, more ...string) *process {
	t.Helper()
	args := append(append([]string{"--events", "json"}, more...), "--", testBinary)
	p := start(t, "signals", "run "+flags, args...)
	p.line("ready")
	return p
}

func (p *process) finish() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.end(7)
}

// documentOf runs a command line with --json, and returns what it wrote.
func documentOf(t *testing.T, code int, line string) (doc document) {
	t.Helper()
	got, stdout, stderr := command(t, line+" --json")
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || got != code {
		t.Errorf("%s --json ended with %d (%v), want %d:\n%s%s", line, got, err, code, stdout, stderr)
	}
	if (doc.Error == nil) != (code == 0) || doc.Error != nil && doc.Error.Exit != code {
		t.Errorf("%s --json ended with %d and says %+v", line, code, doc.Error)
	}
	return doc
}

func TestLs(t *testing.T) {
	db := newDatabase(t)
	check(t, []want{{"ls", 0, "NAME", ""}, {"ls --count", 0, "0\n", ""}, {"ls --fail-if-any", 0, "", ""}})
	one := holder(t, "report/nightly --identity first --note a-note")
	if _, err := db.ExecContext(t.Context(), "UPDATE sqllock_locks SET note = char(27) || '[31mred'"); err != nil {
		t.Fatal(err)
	}
	two := holder(t, "partner -n 2 --identity second")
	waiting := start(t, "", "run report/nightly --fair --events json -- true")
	waiting.await("waiting")
	until(t, "a waiter in the queue", func() bool {
		return query(t, db, "SELECT count(*) FROM sqllock_waiters") > 0
	})
	check(t, []want{
		{"ls", 0, "report/nightly  lock          first", ""},
		{"ls", 0, "semaphore #", ""},
		{"ls report*", 0, "\uFFFD[31mred", ""}, // it doesn't reach the terminal
		{"ls *night* -o name", 0, "report/nightly\n", ""},
		{"ls nosuch* -o name", 0, "", ""},
		{"ls --holder f* --count", 0, "1\n", ""},
		{"ls -o wide", 0, "FIRST WAITS FOR", ""},
		{"ls --stuck --count", 0, "0\n", ""},
		{"ls --stuck=0 --count", 0, "1\n", ""},
		{"ls --count --fail-if-any", 1, "2\n", "there are 2"},
		{"ls -o nosuch", 64, "", "jsonl"},
		{"ls a b", 64, "", "too many"},
		{"ls --watch --json", 64, "jsonl", ""},
	})
	locks := *documentOf(t, 0, "ls").Locks
	if len(locks) != 2 || locks[1].Name != "report/nightly" || locks[1].Waiters != 1 || locks[1].Holder != "first" ||
		locks[1].Fence == 0 || locks[0].Permit == nil {
		t.Errorf("ls --json has %+v", locks)
	}
	_, stdout, _ := command(t, "ls -o jsonl")
	for line := range strings.Lines(stdout) {
		var l inspect.Lock
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.State != "held" {
			t.Errorf("ls -o jsonl writes %q (%v)", line, err)
		}
	}
	watch := start(t, "", "ls --watch --interval 10ms -o name")
	watch.line("report/nightly")
	one.finish()
	waiting.end(0)
	two.finish()
	watch.signal(syscall.SIGINT)
	watch.end(0)
	check(t, []want{{"ls --count", 0, "0\n", ""}, {"ls --all -o wide", 0, "free", ""}})
}

// A lock whose holder is dead is stuck.
func TestLsStuck(t *testing.T) {
	db := newDatabase(t)
	p := holder(t, "a --ttl 60")
	p.signal(syscall.SIGKILL)
	p.end(-int(syscall.SIGKILL))
	check(t, []want{{"ls --stuck --count", 0, "0\n", ""}})
	if _, err := db.ExecContext(t.Context(), "UPDATE sqllock_leases SET expires_at = 0"); err != nil {
		t.Fatal(err)
	}
	check(t, []want{
		{"ls --stuck --fail-if-any", 1, "expired", ""},
		{"show a", 0, "the holder is dead", ""},
		{"wait a --free", 0, "", ""},
		{"wait a --held -w 0", 75, "", "nobody holds it"},
	})
}

func TestShow(t *testing.T) {
	newDatabase(t)
	check(t, []want{{"show a", 0, "nobody holds \"a\"", ""}, {"show", 64, "", "needs the NAME"}})
	a := holder(t, "a --identity first", "--note", "build 7")
	both := start(t, "", "run 0 a --all --identity second --fair --events json -- true")
	both.await("waiting")
	third := start(t, "", "run 0 --identity third --fair --events json -- true")
	third.await("waiting")
	var found *inspect.Details
	until(t, "a waiter who waits for a waiter", func() bool {
		found = documentOf(t, 0, "show a").Lock
		return len(found.Queue) > 0 && len(found.Queue[0].Holds) > 0 && len(found.Queue[0].Holds[0].Waiters) > 0
	})
	h, w := found.Holders[0], found.Queue[0]
	if h.Holder != "first" || h.Note != "build 7" || h.HeartbeatMS == nil || w.Holder != "second" ||
		w.Holds[0].Name != "0" || w.Holds[0].Waiters[0].Holder != "third" {
		t.Errorf("show --json has %+v", found)
	}
	check(t, []want{
		{"show a", 0, "note: build 7", ""},
		{"show a", 0, "last heartbeat was", ""},
		{"show a", 0, "1. second, for", ""},
		{"show a", 0, "holds \"0\" (lock), with fence", ""},
		{"show a", 0, "1. third, for", ""},
	})
	a.finish()
	both.end(0)
	third.end(0)
}

func TestWait(t *testing.T) {
	newDatabase(t)
	check(t, []want{
		{"wait a", 64, "", "one of --free"},
		{"wait a --free --held", 64, "", "one of --free"},
		{"wait --free", 64, "", "needs the NAME"},
		{"wait a --free", 0, "", ""},
		{"wait a --held -w 500ms", 75, "", "in vain"},
		{"wait a --leader -w 500ms", 75, "", "nobody leads"},
	})
	held := start(t, "", "wait a --held")
	p := holder(t, "a --identity first")
	held.end(0)
	check(t, []want{
		{"wait a --free -w 500ms", 75, "", "held by first"},
		{"wait a --leader -w 500ms", 75, "", "nobody leads"},
	})
	free := start(t, "", "wait a --free --json")
	p.finish()
	free.end(0)
	leader := start(t, "", "wait a --leader")
	e := start(t, "signals", "elect a --", testBinary)
	e.line("ready")
	leader.end(0)
	e.finish()
	stopped := start(t, "", "wait a --held")
	until(t, "the wait says why", func() bool { return strings.Contains(stopped.errs.String(), "nobody holds it") })
	stopped.signal(syscall.SIGTERM)
	stopped.end(128 + int(syscall.SIGTERM))
}

// Break shows the holder, and wants to hear that it may be alive, and the name or the fence.
func TestBreak(t *testing.T) {
	db := newDatabase(t)
	check(t, []want{
		{"break a", 1, "", "nothing to break"},
		{"break a --force", 64, "", "needs --fence"},
		{"break", 64, "", "needs the NAME"},
		{"break a --reason " + strings.Repeat("x", sqllock.MaxReasonBytes+1), 64, "", "1001 bytes"},
	})
	p := holder(t, "a --ttl 1500ms --identity first")
	fence := documentOf(t, 0, "show a").Lock.Holders[0].Fence
	right, wrong := fmt.Sprint(" --fence ", fence), fmt.Sprint(" --fence ", fence+1)
	check(t, []want{
		{"break a", 1, "", "is alive"},
		{"break a", 1, "", "is held by first"},
		{"break a --force" + right, 1, "", "--alive"},
		{"break a --alive --force" + wrong, 1, "", "nobody holds \"a\" with fence"},
		{"break a --alive --dry-run", 0, "would break \"a\"", ""},
	})
	for _, text := range []string{"", "y\n", "b\n"} {
		code, _, stderr := answer(t, text, "break a --alive")
		if code != 1 || !strings.Contains(stderr, "nothing was broken") {
			t.Errorf("to %q break ends with %d: %s", text, code, stderr)
		}
	}
	if n := query(t, db, "SELECT count(*) FROM sqllock_locks WHERE lease_id IS NOT NULL"); n != 1 {
		t.Fatal("the lock was broken all the same")
	}
	code, stdout, stderr := answer(t, "a\n", "break a --alive --wait 10 --reason", "host is gone")
	if code != 0 || !strings.Contains(stdout, "host is gone") || !strings.Contains(stdout, "lease of first is over") ||
		!strings.Contains(stderr, "a lock was broken") || !strings.Contains(stderr, "host is gone") {
		t.Errorf("break ends with %d: %s%s", code, stdout, stderr)
	}
	p.end(76)
	if !strings.Contains(p.errs.String(), "broken") {
		t.Errorf("the holder says %s", p.errs)
	}
	check(t, []want{{"show a", 0, "broken before:\n  2", ""}, {"show a", 0, "by " + cli.Operator(), ""}})
	broken := documentOf(t, 0, "show a").Lock.Broken
	if len(broken) != 1 || broken[0].By != cli.Operator() || broken[0].Reason != "host is gone" ||
		broken[0].Holder != "first" || broken[0].Fence != fence || broken[0].Kind != "lock" || broken[0].From == "" {
		t.Errorf("show --json has %+v", broken)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TABLE sqllock_breaks"); err != nil { // as with older tables
		t.Fatal(err)
	}
	check(t, []want{{"show a", 0, "broken before can't be read", ""}})
}

// With --force and the fence that was seen, nothing is asked. --wait says when the holder goes on.
func TestBreakByForce(t *testing.T) {
	newDatabase(t)
	p := holder(t, "a --ttl 60 --identity first") // it looks every 20 s
	fence := documentOf(t, 0, "show a").Lock.Holders[0].Fence
	doc := documentOf(t, 75, fmt.Sprint("break a --alive --force --wait 50ms --fence ", fence))
	if b := doc.Broken; b == nil || b.Lock.Fence != fence || b.Noticed == nil || *b.Noticed {
		t.Errorf("break --json says %+v", doc.Broken)
	}
	check(t, []want{{fmt.Sprint("break a --alive --force --fence ", fence), 1, "", "nothing to break"}})
	p.signal(syscall.SIGTERM)
	p.end(76) // its release finds out
}

// Names and notes of other processes can't change the terminal.
func TestClean(t *testing.T) {
	if got := clean("a\x1b[2Jb\nc\u202Ed\u00e9"); got != "a\uFFFD[2Jb\uFFFDc\uFFFDd\u00e9" {
		t.Errorf("clean returns %q", got)
	}
}
