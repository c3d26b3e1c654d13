//go:build unix

package main

import (
	"bufio"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/sqlite"
)

const mainEnv = "SQLLOCK_MIGRATE_TEST_MAIN"

// TestMain lets the test binary be the command, for tests that need a process of their own.
func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command as a process of its own, and the lines it writes to stderr.
type process struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Reader
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, args...), t: t}
	p.Env = append(os.Environ(), mainEnv+"=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// hear waits for a line that begins so.
func (p *process) hear(beginning string) {
	p.t.Helper()
	var heard string
	for {
		line, err := p.lines.ReadString('\n')
		heard += line
		if strings.HasPrefix(line, beginning) {
			return
		}
		if err != nil {
			p.t.Fatalf("no line begins with %q:\n%s", beginning, heard)
		}
	}
}

// end waits for the process to end with that exit code.
func (p *process) end(code int) {
	p.t.Helper()
	_, _ = io.Copy(io.Discard, p.lines)
	if err := p.Wait(); p.ProcessState.ExitCode() != code {
		p.t.Errorf("ended with %v, want exit code %d", err, code)
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// blocked is an application whose second migration waits, for as long as the test wants.
type blocked struct {
	flags string
	db    *sql.DB
	tx    *sql.Tx
}

func newBlocked(t *testing.T) *blocked {
	t.Helper()
	folder, data := t.TempDir(), t.TempDir()
	file, other := filepath.Join(data, "a.db"), filepath.Join(data, "other.db")
	for name, text := range map[string]string{
		"1_quick.up.sql":   "CREATE TABLE quick (n INTEGER);",
		"2_blocked.up.sql": "ATTACH '" + other + "' AS other; CREATE TABLE other.blocked (n INTEGER);",
		"3_never.up.sql":   "CREATE TABLE never (n INTEGER);",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &blocked{flags: "-path " + folder + " -database sqlite://" + file + "?x-no-tx-wrap=true&_busy_timeout=60000"}
	locked := openFile(t, other)
	var err error
	if b.tx, err = locked.Begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.tx.Rollback() })
	b.db = openFile(t, file)
	return b
}

func openFile(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sqlite.Open("sqlite://" + file + "?_journal_mode=DELETE")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// waitUntilBlocked waits for the second migration to be under way.
func (b *blocked) waitUntilBlocked(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var version int
		err := b.db.QueryRow("SELECT version FROM schema_migrations WHERE dirty AND version = 2").Scan(&version)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the second migration isn't under way: ", err)
		}
	}
}

// A signal while a migration runs: that one is finished and recorded, the next isn't begun.
func TestSignalStopsBetweenMigrations(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		b := newBlocked(t)
		p := start(t, strings.Fields(b.flags+" up")...)
		b.waitUntilBlocked(t)
		p.signal(signal)
		p.hear("stopping after the migration that is under way")
		if err := b.tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		p.hear("2/u blocked")
		p.hear("error: stopped at version 2, cleanly, with 1 more to apply")
		p.end(130)
		play(t, []step{
			{b.flags + " version", "", 0, "2\n", ""},
			{b.flags + " up", "", 0, "", "3/u never"},
		})
	}
}

func TestSecondSignalKills(t *testing.T) {
	b := newBlocked(t)
	p := start(t, strings.Fields(b.flags+" up")...)
	b.waitUntilBlocked(t)
	p.signal(os.Interrupt)
	p.hear("stopping after the migration that is under way")
	p.signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, p.lines)
	err := p.Wait()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want killed by the signal", err)
	}
	play(t, []step{{b.flags + " version", "", 0, "2 (dirty)\n", ""}})
}

// Ctrl-C at a question is a no.
func TestSignalAtAQuestion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	play(t, []step{{"up -database sqlite://" + file, "", 0, "", "2/u locks"}})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, "drop", "-database", "sqlite://"+file), t: t}
	p.Env = append(os.Environ(), mainEnv+"=1")
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.hear("Are you sure")
	p.signal(os.Interrupt)
	p.hear("error: Aborted dropping")
	p.end(130)
	play(t, []step{{"version -database sqlite://" + file, "", 0, "4\n", ""}})
}

// startWaiting starts the command while another migrates.
func startWaiting(t *testing.T, line string) *process {
	t.Helper()
	p := start(t, append(strings.Fields(line), "-lock-timeout", "5m")...)
	p.hear("waiting: another process is migrating this database: ")
	return p
}

// The holder is killed in the middle of a migration: who waits gets the lock after its TTL, and says that the version is
// dirty.
func TestHolderKilled(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" -lock-ttl 2s up")...)
	b.waitUntilBlocked(t)
	next := startWaiting(t, b.flags+" -lock-ttl 2s up")
	first.signal(syscall.SIGKILL)
	killed := time.Now()
	next.hear("error: the database is dirty at version 2")
	if took := time.Since(killed); took < time.Second || took > 20*time.Second {
		t.Errorf("the next one had the lock after %v; the TTL is 2s", took)
	}
	next.end(3)
}

// Ctrl-C while another migrates: nothing is changed, and nothing stays behind.
func TestSignalWhileWaiting(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" up")...)
	b.waitUntilBlocked(t)
	next := startWaiting(t, b.flags+" up")
	next.signal(os.Interrupt)
	next.hear("error: stopped before anything was changed")
	next.end(130)
	var leases int
	if err := b.db.QueryRow("SELECT count(*) FROM sqllock_leases").Scan(&leases); err != nil || leases != 1 {
		t.Errorf("%d leases, %v; want the holder's alone", leases, err)
	}
	if err := b.tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	first.hear("3/u never")
}

// Somebody writes for longer than SQLite waits, as a migration may: the others wait all the same.
func TestWriterOnSQLite(t *testing.T) {
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(filepath.Join(folder, "1_a.up.sql"), []byte("CREATE TABLE a (n INTEGER);"), 0o600); err != nil {
		t.Fatal(err)
	}
	play(t, []step{{"up -database sqlite://" + file, "", 0, "", "2/u locks"}})
	tx, err := openFile(t, file).Begin()
	if err != nil {
		t.Fatal(err)
	}
	ended := time.AfterFunc(7*time.Second, func() { _ = tx.Rollback() }) // _busy_timeout and a Client's patience are 5 s
	defer ended.Stop()
	play(t, []step{{"-path " + folder + " -database sqlite://" + file + " -lock-timeout 1m up", "", 0, "", "1/u a"}})
}

func TestUnlock(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" up")...)
	b.waitUntilBlocked(t)
	play(t, []step{
		{b.flags + " unlock", "n\n", 1, "", "a lease, is held by "},
		{b.flags + " unlock", "", 1, "", "Not breaking the lock"},
		{b.flags + " unlock", "y\n", 0, "", "the migration lock is free"},
		{b.flags + " unlock --json", "", 0, `"holders": []`, "nobody holds"},
	})
	if err := b.tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	first.hear("error: stopped at version 2, cleanly, with 1 more to apply, because the migration lock was lost")
	first.end(6)
}
