package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/integration/servers"
)

// migrateCommand is the real command, as a user runs it.
type migrateCommand struct {
	path string
}

func buildMigrate(t *testing.T) migrateCommand {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sqllock-migrate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/sqllock-migrate").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return migrateCommand{path: path}
}

// run runs the command on a database, and answers what it wrote to both, and its exit code.
func (c migrateCommand) run(t *testing.T, database string, args ...string) (output string, code int) {
	t.Helper()
	cmd := c.command(database, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return "", -1
	}
	defer endHanging(cmd)()
	_ = cmd.Wait()
	return out.String(), cmd.ProcessState.ExitCode()
}

func (c migrateCommand) command(database string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.path, args...)
	cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+database)
	return cmd
}

// endHanging makes a command that goes on for longer than any should end with its goroutines' stacks, until stop.
func endHanging(cmd *exec.Cmd) (stop func() bool) {
	return time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }).Stop
}

// want runs the command and checks its exit code and a piece of what it writes.
func (c migrateCommand) want(t *testing.T, database string, code int, says, line string) {
	t.Helper()
	output, got := c.run(t, database, strings.Fields(line)...)
	if got != code || !strings.Contains(output, says) {
		t.Errorf("%s answers %d: %s\nwant %d, %q", line, got, output, code, says)
	}
}

// folder writes migrations.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sleep is a statement that takes so many seconds; what the test does meanwhile takes less.
func sleepStatement(engine, seconds string) string {
	if strings.HasPrefix(engine, "postgres") {
		return "SELECT pg_sleep(" + seconds + ");"
	}
	return "DO SLEEP(" + seconds + ");"
}

func TestMigrateCLIOwnTables(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		db := s.Database(t)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { c.want(t, db, 0, "", "up -lock-timeout 60") })
		}
		group.Wait()
		c.want(t, db, 0, "4\n", "version")
		c.want(t, db, 0, "4        outcomes  applied", "status")
		c.want(t, db, 0, "4/d outcomes", "down 1")
		c.want(t, db, 0, "3        waiters   applied\n4        outcomes  pending", "status")
		c.want(t, db, 0, "4/u outcomes", "goto 4")
		c.want(t, db, 0, "1/d leases", "down -all")
		c.want(t, db, 1, "no migration", "version")
		c.want(t, db, 0, "4/u outcomes", "up")
		c.want(t, db, 0, "", "drop -f")
		c.want(t, db, 1, "no migration", "version")
	})
}

func TestMigrateCLISource(t *testing.T) {
	c := buildMigrate(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		db := s.Database(t)
		dir := folder(t, map[string]string{
			"1_two.up.sql":   "CREATE TABLE users (n INTEGER);\nCREATE TABLE orders (n INTEGER);",
			"1_two.down.sql": "DROP TABLE users; DROP TABLE orders;",
			"2_bad.up.sql":   "CREATE TABLE good (n INTEGER);\n\nCREATE TABEL bad (n INTEGER);\n",
		})
		path := "-path " + dir + " "
		c.want(t, db, 0, "1/u two", path+"up 1")
		output, code := c.run(t, db, strings.Fields(path+"--json up")...)
		if code != 1 || !strings.Contains(output, "error: 2_bad.up.sql:3") || !strings.Contains(output, "CREATE TABEL bad") {
			t.Errorf("a syntax error answers %d: %s", code, output)
		}
		var result struct {
			Version int
			Dirty   bool
			Error   struct{ Kind string }
		}
		_, text, _ := strings.Cut(output, "\n{")
		if err := json.Unmarshal([]byte("{"+text), &result); err != nil || result.Version != 2 || !result.Dirty || result.Error.Kind != "statement" {
			t.Errorf("%v: %+v", err, result)
		}
		c.want(t, db, 3, "dirty at version 2", path+"up")
		c.want(t, db, 0, "2 (dirty)", path+"version")
		c.want(t, db, 0, "", path+"force 1")
		own := "4/u outcomes"
		if s.Engine == "sqlite" {
			own = "no change" // the lock is a lease, which needs them
		}
		c.want(t, db, 0, own, "up") // sqllock's own beside them
		c.want(t, db, 0, "1/d two", path+"down 1")
		mine := withParameter(db, "x-migrations-table=mine")
		c.want(t, mine, 0, "1/u two", path+"up 1")
		c.want(t, mine, 0, "1\n", path+"version")
		c.want(t, db, 1, "no migration", path+"version")
		c.want(t, db, 0, "4\n", "version")
		c.want(t, mine, 2, "golang-migrate", "version")
		c.want(t, db, 0, "", path+"drop -f")
		c.want(t, db, 1, "no migration", "version")
	})
}

// While one process migrates for long, Ctrl-C stops another that waits; the lock timeout is honoured, which
// golang-migrate doesn't do; and Ctrl-C lets the first finish what it has begun and no more.
func TestMigrateCLIInterrupted(t *testing.T) {
	c := buildMigrate(t)
	for _, engine := range []string{"postgres15", "postgres18", "mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			path := "-path " + folder(t, map[string]string{
				"1_quick.up.sql": "CREATE TABLE quick (n INTEGER);",
				"2_slow.up.sql":  sleepStatement(engine, "6"),
				"3_never.up.sql": "CREATE TABLE never (n INTEGER);",
			}) + " "
			first := startMigrate(t, c.command(b.url, strings.Fields(path+"up")...))
			first.hear("1/u quick")
			b.waitForDirty(2)

			begun := time.Now()
			c.want(t, b.url, 5, "held the migration lock for 1s", path+"-lock-timeout 1 up")
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("with -lock-timeout 1 it took %v", took)
			}
			first.interrupt()
			first.hear("stopping after the migration that is under way")
			first.hear("2/u slow")
			first.hear("error: stopped at version 2, cleanly, with 1 more to apply")
			first.end(130)
			c.want(t, b.url, 0, "2\n", path+"version")
			c.want(t, b.url, 0, "3/u never", path+"up")
		})
	}
}

// migrateProcess is a command under way.
type migrateProcess struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Reader
}

func startMigrate(t *testing.T, cmd *exec.Cmd) *migrateProcess {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := endHanging(cmd)
	t.Cleanup(func() {
		stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // an error where end has waited
	})
	return &migrateProcess{Cmd: cmd, t: t, lines: bufio.NewReader(stderr)}
}

// hear waits for a line that begins so.
func (p *migrateProcess) hear(beginning string) {
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

func (p *migrateProcess) interrupt() {
	p.t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the process to end with that exit code.
func (p *migrateProcess) end(code int) {
	p.t.Helper()
	_, _ = io.Copy(io.Discard, p.lines)
	if err := p.Wait(); p.ProcessState.ExitCode() != code {
		p.t.Errorf("ended with %v, want exit code %d", err, code)
	}
}

// A server that doesn't answer at all, and one that isn't there: neither hangs, and neither shows the password.
func TestMigrateCLIUnreachable(t *testing.T) {
	c := buildMigrate(t)
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/db", "mysql://u:hunter2@127.0.0.1:1/db"} {
		for _, line := range []string{"up", "-path . up", "version --json", "-path . status"} {
			dir := folder(t, map[string]string{"1_a.up.sql": "SELECT 1"})
			output, code := c.run(t, url, strings.Fields(strings.Replace(line, "-path .", "-path "+dir, 1))...)
			if code != 4 || !strings.Contains(output, "connection refused") || strings.Contains(output, "hunter2") {
				t.Errorf("%s, %s: %d, %s", url, line, code, output)
			}
		}
	}
	for _, engine := range []string{"postgres15", "mysql"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			stopped := withParameter(server.URL, map[string]string{"postgres15": "connect_timeout=2", "mysql": "timeout=2s&readTimeout=2s"}[engine])
			server.Stop()
			defer server.Cont()
			c.want(t, stopped, 4, "can't connect", "up")
		})
	}
}
