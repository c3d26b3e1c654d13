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

// TestMain lets the test binary be the command, for tests that need a separate process.
func TestMain(m *testing.M) {
	if os.Getenv(mainEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command as a separate process, with the lines that it writes to stderr.
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

// collect waits for a line that begins with beginning.
func (p *process) collect(beginning string) {
	p.t.Helper()
	var output string
	for {
		line, err := p.lines.ReadString('\n')
		output += line
		if strings.HasPrefix(line, beginning) {
			return
		}
		if err != nil {
			p.t.Fatalf("no line begins with %q:\n%s", beginning, output)
		}
	}
}

// end waits until the process has ended, and checks its exit code.
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

// blocked is an application whose second migration waits for as long as the test wants.
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

// waitUntilBlocked waits until the second migration is under way.
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

// After a signal the migration under way is finished and recorded, and the next one isn't begun.
func TestSignalStopsBetweenMigrations(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		b := newBlocked(t)
		p := start(t, strings.Fields(b.flags+" up")...)
		b.waitUntilBlocked(t)
		p.signal(signal)
		p.collect("stopping after the migration that is under way")
		if err := b.tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		p.collect("2/u blocked")
		p.collect("error: stopped at version 2, cleanly, with 1 more to apply")
		p.end(130)
		runSteps(t, []step{
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
	p.collect("stopping after the migration that is under way")
	p.signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, p.lines)
	err := p.Wait()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want killed by the signal", err)
	}
	runSteps(t, []step{{b.flags + " version", "", 0, "2 (dirty)\n", ""}})
}

// Ctrl-C at a question counts as no.
func TestSignalAtAQuestion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.db")
	runSteps(t, []step{{"own up -database sqlite://" + file, "", 0, "", "2/u locks"}})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, "own", "drop", "-database", "sqlite://"+file), t: t}
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
	p.collect("Are you sure")
	p.signal(os.Interrupt)
	p.collect("error: Aborted dropping")
	p.end(130)
	runSteps(t, []step{{"own version -database sqlite://" + file, "", 0, "8\n", ""}})
}

// startWaiting starts the command while another process migrates.
func startWaiting(t *testing.T, line string) *process {
	t.Helper()
	p := start(t, append(strings.Fields(line), "-lock-timeout", "5m")...)
	p.collect("waiting: another process is migrating this database: ")
	return p
}

// If the holder is killed in the middle of a migration, a waiter gets the lock after the TTL and
// reports that the version is dirty.
func TestHolderKilled(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" -lock-ttl 2s up")...)
	b.waitUntilBlocked(t)
	next := startWaiting(t, b.flags+" -lock-ttl 2s up")
	first.signal(syscall.SIGKILL)
	killed := time.Now()
	next.collect("error: the database is dirty at version 2")
	if took := time.Since(killed); took < time.Second || took > 20*time.Second {
		t.Errorf("the next process got the lock after %v; the TTL is 2s", took)
	}
	next.end(3)
}

// After Ctrl-C while another process migrates, nothing is changed and nothing is left behind.
func TestSignalWhileWaiting(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" up")...)
	b.waitUntilBlocked(t)
	next := startWaiting(t, b.flags+" up")
	next.signal(os.Interrupt)
	next.collect("error: stopped before anything was changed")
	next.end(130)
	var leases int
	if err := b.db.QueryRow("SELECT count(*) FROM sqllock_leases").Scan(&leases); err != nil || leases != 1 {
		t.Errorf("%d leases, %v; want only the holder's", leases, err)
	}
	if err := b.tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	first.collect("3/u never")
}

// Another process writes for longer than SQLite and a Client themselves wait, as a migration may.
// Processes that start meanwhile wait up to their lock timeout. So does a process that only reads,
// if the journal mode lets nobody read.
func TestWriterOnSQLite(t *testing.T) {
	const writes = 7 * time.Second // longer than _busy_timeout and a Client's own wait, which are 5 s
	folder := t.TempDir()
	text := []byte("CREATE TABLE a (n INTEGER);")
	if err := os.WriteFile(filepath.Join(folder, "1_a.up.sql"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "a.db")
			db := openFile(t, file)
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				"PRAGMA journal_mode = " + journal, "BEGIN EXCLUSIVE", "CREATE TABLE other (n INTEGER)",
			} {
				if _, err := conn.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			var all []*process
			for range 5 {
				all = append(all, start(t, "-path", folder, "-database", "sqlite://"+file, "-lock-timeout", "90", "up"))
			}
			brief := start(t, "-path", folder, "-database", "sqlite://"+file, "-lock-timeout", "1", "up")
			reads := []*process{
				start(t, "-path", folder, "-database", "sqlite://"+file, "-lock-timeout", "90", "version"),
				start(t, "-database", "sqlite://"+file, "-lock-timeout", "90", "own", "version"),
			}
			brief.end(5)
			time.Sleep(writes)
			if _, err := conn.ExecContext(t.Context(), "COMMIT"); err != nil {
				t.Error(err)
			}
			for _, p := range reads {
				if output, code := p.rest(); code != 0 && !strings.Contains(output, "no migration") {
					t.Errorf("a process that reads exits %d: %s", code, output)
				}
			}
			applied := 0
			for _, p := range all {
				output, code := p.rest()
				if code != 0 {
					t.Errorf("a process that migrates exits %d: %s", code, output)
				}
				applied += strings.Count(output, "1/u a")
			}
			if applied != 1 {
				t.Errorf("the migration was applied %d times", applied)
			}
		})
	}
}

// rest waits until the process has ended, and returns its remaining output and its exit code.
func (p *process) rest() (string, int) {
	p.t.Helper()
	output, err := io.ReadAll(p.lines)
	if err != nil {
		p.t.Error(err)
	}
	_ = p.Wait()
	return string(output), p.ProcessState.ExitCode()
}

func TestUnlock(t *testing.T) {
	b := newBlocked(t)
	first := start(t, strings.Fields(b.flags+" up")...)
	b.waitUntilBlocked(t)
	runSteps(t, []step{
		{b.flags + " unlock", "n\n", 1, "", "a lease, is held by "},
		{b.flags + " unlock", "", 1, "", "Not breaking the lock"},
		{b.flags + " unlock", "y\n", 0, "", "the migration lock is free"},
		{b.flags + " unlock --json", "", 0, `"holders": []`, "nobody holds"},
	})
	if err := b.tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	first.collect("error: stopped at version 2, cleanly, with 1 more to apply, because the migration lock was lost")
	first.end(6)
}
