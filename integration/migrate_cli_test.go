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

// migrateCommand is the real sqllock-migrate, run as a user runs it.
type migrateCommand struct {
	path string
}

// buildMigrate builds the command, once for all tests of the process.
func buildMigrate(t *testing.T) migrateCommand {
	t.Helper()
	return migrateCommand{path: migrateBinary.path(t)}
}

// run runs the command on a database. It returns what the command wrote to its standard output and
// standard error, and its exit code.
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

// endHanging makes a command that runs for four minutes, longer than any should, print its
// goroutines' stacks and exit. stop ends that.
func endHanging(cmd *exec.Cmd) (stop func() bool) {
	return time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }).Stop
}

// want runs the command, and checks its exit code and that its output contains says.
func (c migrateCommand) want(t *testing.T, database string, code int, says, line string) {
	t.Helper()
	output, got := c.run(t, database, strings.Fields(line)...)
	if got != code || !strings.Contains(output, says) {
		t.Errorf("%s ends with exit code %d: %s\nwant %d, and output that contains %q", line, got, output, code, says)
	}
}

// folder writes files to a new directory, and returns its path.
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

// sleepStatement returns a statement that takes so many seconds. What the test does meanwhile must
// take less.
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
			group.Go(func() { c.want(t, db, 0, "", "own up -lock-timeout 60") })
		}
		group.Wait()
		c.want(t, db, 0, "8\n", "own version")
		c.want(t, db, 0, "8        held        applied", "own status")
		c.want(t, db, 0, "8/d held", "own down 1")
		c.want(t, db, 0, "7        breaks      applied\n8        held        pending", "own status")
		c.want(t, db, 0, "8/u held", "own goto 8")
		c.want(t, db, 0, "1/d leases", "own down -all")
		c.want(t, db, 1, "no migration", "own version")
		c.want(t, db, 0, "8/u held", "own up")
		c.want(t, db, 0, "", "own drop -f")
		c.want(t, db, 1, "no migration", "own version")
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
		if code != 1 || !strings.Contains(output, "error: 2_bad.up.sql:3") ||
			!strings.Contains(output, "CREATE TABEL bad") {
			t.Errorf("a file with a syntax error ends with exit code %d: %s", code, output)
		}
		var result struct {
			Version int
			Dirty   bool
			Error   struct{ Kind string }
		}
		_, text, _ := strings.Cut(output, "\n{")
		dirty := !newMigrateBench(t, db).Migrations.Transactional
		version := 1
		if dirty {
			version = 2
		}
		err := json.Unmarshal([]byte("{"+text), &result)
		if err != nil || result.Version != version || result.Dirty != dirty || result.Error.Kind != "statement" {
			t.Errorf("--json wrote %+v, %v; want version %d, dirty %t, kind statement", result, err, version, dirty)
		}
		if dirty {
			c.want(t, db, 3, "dirty at version 2", path+"up")
			c.want(t, db, 0, "2 (dirty)", path+"version")
			c.want(t, db, 0, "", path+"force 1")
		}
		own := "8/u held"
		if s.Engine == "sqlite" {
			own = "no change" // the migration lock is a lease there, so the first run has created sqllock's tables
		}
		c.want(t, db, 0, own, "own up") // sqllock's own tables beside the application's
		c.want(t, db, 0, "1/d two", path+"down 1")
		mine := withParameter(db, "x-migrations-table=mine")
		c.want(t, mine, 0, "1/u two", path+"up 1")
		c.want(t, mine, 0, "1\n", path+"version")
		c.want(t, db, 1, "no migration", path+"version")
		c.want(t, db, 0, "8\n", "own version")
		c.want(t, mine, 2, "golang-migrate", "own version")
		c.want(t, db, 0, "", path+"drop -f")
		c.want(t, db, 1, "no migration", "own version")
	})
}

// While one process is in a long migration, another waits for no longer than its lock timeout,
// which golang-migrate ignores. Ctrl-C lets the first finish the migration that it has begun, and
// no other.
func TestMigrateCLIInterrupted(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	for _, engine := range servers.OneOfEachKind(t, serverEngines...) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			b := newMigrateBench(t, servers.Start(t, engine).Database(t))
			path := "-path " + folder(t, map[string]string{
				"1_quick.up.sql": "CREATE TABLE quick (n INTEGER);",
				"2_slow.up.sql":  sleepStatement(engine, "6"),
				"3_never.up.sql": "CREATE TABLE never (n INTEGER);",
			}) + " --stop-timeout 1m "
			first := startMigrate(t, c.command(b.url, strings.Fields(path+"up")...))
			first.collect("applying 2_slow …")

			begun := time.Now()
			c.want(t, b.url, 5, "held the migration lock for 1s", path+"-lock-timeout 1 up")
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("with -lock-timeout 1 it took %v", took)
			}
			first.interrupt()
			first.collect("stopping after the migration that is under way")
			first.collect("2/u slow")
			first.collect("error: stopped at version 2, cleanly, with 1 more to apply")
			first.end(130)
			c.want(t, b.url, 0, "2\n", path+"version")
			c.want(t, b.url, 0, "3/u never", path+"up")
		})
	}
}

// migrateProcess is a running command.
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
		_ = cmd.Wait() // fails if end has already waited
	})
	return &migrateProcess{Cmd: cmd, t: t, lines: bufio.NewReader(stderr)}
}

// collect reads lines of the standard error until one begins with beginning.
func (p *migrateProcess) collect(beginning string) {
	p.t.Helper()
	var read string
	for {
		line, err := p.lines.ReadString('\n')
		read += line
		if strings.HasPrefix(line, beginning) {
			return
		}
		if err != nil {
			p.t.Fatalf("no line begins with %q:\n%s", beginning, read)
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
		p.t.Errorf("the command ended with %v, want exit code %d", err, code)
	}
}

// The command fails in time, and does not show the password, if the server is frozen or there is
// none.
func TestMigrateCLIUnreachable(t *testing.T) {
	t.Parallel()
	c := buildMigrate(t)
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/db", "mysql://u:hunter2@127.0.0.1:1/db"} {
		for _, line := range []string{"own up", "-path . up", "own version --json", "-path . status"} {
			dir := folder(t, map[string]string{"1_a.up.sql": "SELECT 1"})
			output, code := c.run(t, url, strings.Fields(strings.Replace(line, "-path .", "-path "+dir, 1))...)
			if code != 4 || !strings.Contains(output, "connection refused") || strings.Contains(output, "hunter2") {
				t.Errorf("%s on %s: exit code %d: %s", line, url, code, output)
			}
		}
	}
	for _, engine := range []string{"postgres15", "mysql"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := servers.Private(t, engine)
			stopped := withParameter(server.URL, map[string]string{
				"postgres15": "connect_timeout=2", "mysql": "timeout=2s&readTimeout=2s",
			}[engine])
			server.Stop()
			defer server.Cont()
			c.want(t, stopped, 4, "can't connect", "own up")
		})
	}
}
