//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect/sqlite"
	"github.com/sqllock/sqllock/migrations"
	sqlitemigrations "github.com/sqllock/sqllock/migrations/sqlite"
)

// The test binary is also the child that the command runs.
const childEnv = "SQLLOCK_CLI_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childEnv); kind != "" {
		_ = os.Unsetenv(childEnv)
		childMain(kind)
	}
	catchIgnored()
	code := m.Run()
	for _, dir := range []string{templateDir, commandDir} {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// catchIgnored catches the signals that this process was started to ignore, as by nohup or in the
// background of a script. Otherwise the commands that are tested would ignore them too: they
// inherit what is ignored, and get the default for what is caught.
func catchIgnored() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

var (
	built = sync.OnceValues(func() (path string, err error) {
		if commandDir, err = os.MkdirTemp("", "sqllock-command-"); err != nil {
			return "", err
		}
		path = filepath.Join(commandDir, "sqllock")
		build := exec.Command("go", "build", "-o", path, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		return path, nil
	})
	commandDir string
)

// commandPath builds the command, once for all tests, and returns its path.
func commandPath(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// childMain is what a child does.
func childMain(kind string) {
	signals := make(chan os.Signal, 64)
	if kind != "plain" {
		signal.Notify(signals)
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	switch kind {
	case "signals": // reports each signal, and ends by SIGTERM
		say("ready")
		for s := range signals {
			if s == syscall.SIGURG || s == syscall.SIGCONT {
				continue
			}
			say("%d", int(s.(syscall.Signal)))
			if s == syscall.SIGTERM {
				os.Exit(7)
			}
		}
	case "plain": // writes all the time
		for {
			say("alive")
			time.Sleep(time.Millisecond)
		}
	case "stubborn": // writes the time all the time, and only writes when it is told to end
		say("ready")
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM {
					say("told %d", time.Now().UnixMicro())
				}
			default:
				say("alive %d", time.Now().UnixMicro())
				time.Sleep(200 * time.Microsecond)
			}
		}
	}
}

var (
	template = sync.OnceValues(func() (file string, err error) {
		if templateDir, err = os.MkdirTemp("", "sqllock-cli-"); err != nil {
			return "", err
		}
		file = filepath.Join(templateDir, "t.db")
		db, err := sqlite.Open("sqlite://" + file)
		if err != nil {
			return "", err
		}
		defer db.Close()
		if err := migrations.Up(context.Background(), db, sqlitemigrations.Engine); err != nil {
			return "", err
		}
		_, err = db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
		return file, err
	})
	templateDir string
)

// newDatabase makes a database with sqllock's tables, and makes it the commands' own.
func newDatabase(t *testing.T) *sql.DB {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SQLLOCK_DATABASE_URL", "sqlite://"+file)
	t.Setenv("SQLLOCK_ENV", "none")
	db, err := sqlite.Open("sqlite://" + file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// process is the command as a separate process.
type process struct {
	*exec.Cmd
	t      *testing.T
	events chan event  // what it writes to stderr with --events json
	out    chan string // the lines of stdout
	errs   *lockedBuffer
	gone   chan struct{}
}

// lockedBuffer is a buffer that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// until waits until f reports true, by asking again and again.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begun := time.Now(); !f(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > stepTimeout {
			t.Fatalf("%s: not within %v", what, stepTimeout)
		}
	}
}

// self returns the command, whose child is of that kind.
func self(t *testing.T, kind string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(commandPath(t), args...)
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	return cmd
}

// testBinary is an argument that stands for the test binary, as a child.
const testBinary = "CHILD"

// start starts a command line, given as words.
func start(t *testing.T, kind, line string, more ...string) *process {
	t.Helper()
	args := append(strings.Fields(line), more...)
	for i, arg := range args {
		if arg == testBinary {
			args[i], _ = os.Executable()
		}
	}
	p := &process{
		Cmd: self(t, kind, args...), t: t, events: make(chan event, 1000), out: make(chan string, 1_000_000),
		errs: new(lockedBuffer), gone: make(chan struct{}),
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	var group sync.WaitGroup
	group.Go(func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			p.out <- lines.Text()
		}
		close(p.out)
	})
	group.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event != "" {
				p.events <- e
			} else {
				fmt.Fprintln(p.errs, lines.Text())
			}
		}
		close(p.events)
	})
	go func() {
		group.Wait()
		close(p.gone)
	}()
	return p
}

// stepTimeout bounds the wait for what must come.
const stepTimeout = 20 * time.Second

// await waits for an event.
func (p *process) await(name string) event {
	p.t.Helper()
	timeout := time.After(stepTimeout)
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("ended without the event %q; stderr: %s", name, p.errs)
			}
			if e.Event == name {
				return e
			}
		case <-timeout:
			p.t.Fatalf("no event %q within %v", name, stepTimeout)
		}
	}
}

// line waits for a line of stdout that begins like that.
func (p *process) line(beginning string) string {
	p.t.Helper()
	timeout := time.After(stepTimeout)
	for {
		select {
		case line, ok := <-p.out:
			if !ok {
				p.t.Fatalf("ended without the line %q", beginning)
			}
			if strings.HasPrefix(line, beginning) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("no line %q within %v", beginning, stepTimeout)
		}
	}
}

// end waits for the end of the command and returns the rest of its stdout. It checks the exit code.
func (p *process) end(code int) (rest []string) {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(stepTimeout):
		p.t.Fatalf("%v has not ended within %v", p.Args[1:], stepTimeout)
	}
	_ = p.Wait()
	if got := exitCode(p.Cmd); got != code {
		p.t.Errorf("%v ended with %d, want %d; stderr: %s", p.Args[1:], got, code, p.errs)
	}
	for line := range p.out {
		rest = append(rest, line)
	}
	return rest
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

func exitCode(cmd *exec.Cmd) int {
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return -int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// command runs a command line, given as words, to its end.
func command(t *testing.T, line string, more ...string) (code int, stdout, stderr string) {
	t.Helper()
	return answer(t, "", line, more...)
}

// answer is command with something on stdin.
func answer(t *testing.T, stdin, line string, more ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := self(t, "", append(strings.Fields(line), more...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(stepTimeout, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	_ = cmd.Wait()
	timer.Stop()
	return exitCode(cmd), out.String(), errs.String()
}

// want is the result of a command line.
type want struct {
	line           string
	code           int
	stdout, stderr string // parts of them
}

func check(t *testing.T, wants []want, more ...string) {
	t.Helper()
	for _, w := range wants {
		code, stdout, stderr := command(t, w.line, more...)
		if code != w.code || !strings.Contains(stdout, w.stdout) || !strings.Contains(stderr, w.stderr) {
			t.Errorf("%s %q\nended with %d\nstdout: %s\nstderr: %s\nwant %d, %q, %q",
				w.line, more, code, stdout, stderr, w.code, w.stdout, w.stderr)
		}
	}
}

// micros returns the time at the end of a line of a child.
func micros(t *testing.T, line string) int64 {
	t.Helper()
	_, text, _ := strings.Cut(line, " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("no time in %q", line)
	}
	return n
}

// query returns the number that a query returns.
func query(t *testing.T, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, text string,
) (n int64) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), text).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// guardedInsert commits a transaction with an insert and the statement. It ends it as a script
// would: by COMMIT, whatever the statement said.
func guardedInsert(t *testing.T, db *sql.DB, statement string) error {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"} {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	_, err = conn.ExecContext(t.Context(), statement)
	_, _ = conn.ExecContext(t.Context(), "COMMIT")
	return err
}

// watchTimers measures how late timers are, until the function that it returns is called.
func watchTimers(t *testing.T) (latest func() time.Duration) {
	stop, result := make(chan struct{}), make(chan time.Duration, 1)
	stopOnce := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(stopOnce)
	go func() {
		most := time.Duration(0)
		for {
			const tick = 5 * time.Millisecond
			due := time.Now().Add(tick)
			select {
			case <-time.After(tick):
				most = max(most, time.Since(due))
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return func() time.Duration {
		stopOnce()
		return <-result
	}
}
