//go:build unix

package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/integration/servers"
	"github.com/sqllock/sqllock/open"
)

// lockCommand is the real command sqllock, run as a user runs it.
type lockCommand struct {
	path string
}

// buildSqllock builds the command, once for all tests of the process.
func buildSqllock(t *testing.T) lockCommand {
	t.Helper()
	return lockCommand{sqllockBinary.path(t)}
}

// run runs a command line, given as words, to its end.
func (c lockCommand) run(t *testing.T, database, line string, more ...string) (output string, code int) {
	t.Helper()
	cmd := c.command(database, append(strings.Fields(line), more...)...)
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

func (c lockCommand) command(database string, args ...string) *exec.Cmd {
	cmd := exec.Command(c.path, args...)
	cmd.Env = append(os.Environ(), "SQLLOCK_DATABASE_URL="+database, "SQLLOCK_ENV=none")
	return cmd
}

// want runs a command line, and checks its exit code and that its output contains says.
func (c lockCommand) want(t *testing.T, database string, code int, says, line string, more ...string) {
	t.Helper()
	output, got := c.run(t, database, line, more...)
	if got != code || !strings.Contains(output, says) {
		t.Errorf("%s ends with exit code %d: %s\nwant %d, and output that contains %q", line, got, output, code, says)
	}
}

// lockHolder is a sqllock run with a child that works until it is told to end.
type lockHolder struct {
	*exec.Cmd
	t      *testing.T
	lines  chan string // that the child writes
	stderr *tailBuffer
}

// hold starts a run, and waits until its child works.
func (c lockCommand) hold(t *testing.T, database, flags, script string) *lockHolder {
	t.Helper()
	h := c.start(t, database, flags, script)
	h.line("ready")
	return h
}

// start starts a run of a script. The flags select the lock.
func (c lockCommand) start(t *testing.T, database, flags, script string) *lockHolder {
	t.Helper()
	args := append(strings.Fields("run "+flags), "--", "sh", "-c", script)
	h := &lockHolder{
		Cmd: c.command(database, args...), t: t, lines: make(chan string, 1_000_000), stderr: &tailBuffer{},
	}
	h.Stderr = h.stderr
	stdout, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Process.Kill() })
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			h.lines <- lines.Text()
		}
		close(h.lines)
	}()
	return h
}

const untilTold = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"

// line waits for a line of the child that begins like that.
func (h *lockHolder) line(beginning string) string {
	h.t.Helper()
	timeout := time.After(stepTimeout)
	for {
		select {
		case line, ok := <-h.lines:
			if !ok {
				h.t.Fatalf("the run has ended without the line %q: %s", beginning, h.stderr)
			}
			if strings.HasPrefix(line, beginning) {
				return line
			}
		case <-timeout:
			h.t.Fatalf("no line %q within %s: %s", beginning, stepTimeout, h.stderr)
		}
	}
}

// end waits for the end of the run, and checks its exit code.
func (h *lockHolder) end(code int) {
	h.t.Helper()
	defer endHanging(h.Cmd)()
	for range h.lines { // what the child still writes
	}
	_ = h.Wait()
	if got := h.ProcessState.ExitCode(); got != code {
		h.t.Errorf("%v ended with %d, want %d: %s", h.Args[1:], got, code, h.stderr)
	}
}

// finish ends a run by a signal, which its child gets.
func (h *lockHolder) finish() {
	h.t.Helper()
	if err := h.Process.Signal(syscall.SIGTERM); err != nil {
		h.t.Error(err)
	}
	h.end(7)
}

// lockShown is what show --json writes.
type lockShown struct {
	Lock struct {
		Holders []struct {
			Fence     int64
			Holder    string
			Heartbeat *float64 `json:"heartbeat_ms"`
		}
		Queue []struct{ Holder string }
	}
}

func (c lockCommand) show(t *testing.T, database, name string) (found lockShown) {
	t.Helper()
	output, code := c.run(t, database, "show "+name+" --json")
	if err := json.Unmarshal([]byte(output), &found); err != nil || code != 0 {
		t.Fatalf("show ended with %d and wrote %s: %v", code, output, err)
	}
	return found
}

// awaitWaiter waits until somebody waits for the lock, and returns what show says then.
func (c lockCommand) awaitWaiter(t *testing.T, database, name string) lockShown {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < stepTimeout; {
		if found := c.show(t, database, name); len(found.Lock.Queue) > 0 || t.Failed() {
			return found
		}
	}
	t.Fatalf("nobody waits for %q within %s", name, stepTimeout)
	return lockShown{}
}

// A lock is run under, listed, shown, waited for and broken.
func TestCLI(t *testing.T) {
	c := buildSqllock(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		db := database(t, s)
		c.want(t, db, 3, "", "run a --", "sh", "-c", "exit 3")
		c.want(t, db, 0, "ok    lease locks", "doctor")
		for _, kind := range []string{"a", "a --writer", "a --shared", "a -n 1", "a b --all"} {
			h := c.hold(t, db, kind+" --note noted", untilTold)
			if kind != "a --shared" {
				c.want(t, db, 75, "noted", "run "+kind+" --try -- true")
			}
			c.want(t, db, 0, "noted", "ls a")
			c.want(t, db, 75, "in vain", "wait a --free -w 500ms")
			h.finish()
			c.want(t, db, 0, "", "wait a --free")
		}
		first := c.hold(t, db, "a --identity first --ttl 3s", untilTold)
		next := c.start(t, db, "a --identity second --fair", untilTold)
		found := c.awaitWaiter(t, db, "a")
		h, w := found.Lock.Holders[0], found.Lock.Queue[0]
		if h.Holder != "first" || h.Heartbeat == nil || w.Holder != "second" {
			t.Errorf("show --json says %+v", found)
		}
		fence := fmt.Sprint(" --fence ", found.Lock.Holders[0].Fence)
		c.want(t, db, 1, "is alive", "break a --force"+fence)
		c.want(t, db, 0, "lease of first is over", "break a --alive --force --wait 60"+fence)
		first.end(76)
		next.line("ready")
		c.want(t, db, 1, "nobody holds", "break a --alive --force"+fence)
		next.finish()
	})
}

// The lock of a session is held by the server, which frees it at once when the run is killed.
func TestCLISession(t *testing.T) {
	c := buildSqllock(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine == "sqlite" {
			c.want(t, database(t, s), 69, "session locks", "run a --session -- true")
			return
		}
		db := s.Database(t) // without tables
		h := c.hold(t, db, "a --session", untilTold)
		c.want(t, db, 75, "not acquired", "run a --session --try -- true")
		_ = h.Process.Kill()
		h.end(-1)
		c.want(t, db, 0, "", "run a --session -- true")
		c.want(t, db, 78, "own up", "run a -- true")
	})
}

// What guard-sql prints fails without the lock, and holds the lock until the transaction ends.
func TestCLIGuard(t *testing.T) {
	c := buildSqllock(t)
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		url := database(t, s)
		target := connect(t, url)
		h := c.hold(t, url, "a", "trap 'exit 7' TERM; echo ready; "+c.path+" guard-sql; while :; do sleep 0.01; done")
		statement := h.line("")
		rows, err := target.Dialect.Get(t.Context(), []dialect.Key{{Name: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := afterStatement(t, target, statement, func() {
			if s.Engine == "sqlite" {
				return // the transaction has the write lock of the whole file
			}
			dead := dialect.DeadHolder{Key: dialect.Key{Name: "a"}, Fence: rows[0].Fence, LeaseID: rows[0].LeaseID}
			if freed, err := target.Dialect.Free(t.Context(), []dialect.DeadHolder{dead}); err != nil || freed[0] {
				t.Errorf("under the guard Free says %v, %v", freed, err)
			}
		}); err != nil {
			t.Errorf("while the lock is held, %s fails: %v", statement, err)
		}
		h.finish()
		if err := afterStatement(t, target, statement, func() {}); err == nil {
			t.Errorf("without the lock, %s succeeds", statement)
		}
	})
}

// afterStatement calls f in a transaction in which the statement has succeeded.
func afterStatement(t *testing.T, target *open.Database, statement string, f func()) error {
	t.Helper()
	tx, err := target.DB.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(t.Context(), statement)
	if err != nil {
		return err
	}
	err = drain(rows)
	if err == nil {
		f()
	}
	return err
}

// drain reads rows to their end: only then is the statement over.
func drain(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

// An account that has the rights of a role can do what the role is for, and nothing else.
func TestCLIGrants(t *testing.T) {
	c := buildSqllock(t)
	servers.Every(t, func(t *testing.T, s *servers.Server) {
		if s.Engine == "sqlite" {
			c.want(t, database(t, s), 64, "no accounts", "grants sqlite --role reader")
			return
		}
		s.Lacking(t)
		admin := database(t, s)
		app, reader, operator := c.account(t, admin, "application"), c.account(t, admin, "reader"),
			c.account(t, admin, "operator")
		for _, line := range []string{
			"run a -- true", "run a --shared -- true", "run a --writer -- true", "run a -n 2 -- true",
			"run a b --all -- true", "run a --once k -- true", "run a --fair -- true",
			"elect a -- true", "elect a --handover", "ls", "doctor",
		} {
			c.want(t, app, 0, "", line)
		}
		c.want(t, reader, 69, "", "run a -- true")
		c.want(t, operator, 69, "", "run a -- true")
		h := c.hold(t, app, "a --ttl 3s --fair", untilTold)
		next := c.start(t, app, "a --fair", untilTold)
		c.awaitWaiter(t, reader, "a")
		c.want(t, reader, 1, "", "ls a --fail-if-any")
		c.want(t, reader, 0, "", "wait a --held")
		fence := fmt.Sprint(" --fence ", c.show(t, reader, "a").Lock.Holders[0].Fence)
		c.want(t, reader, 69, "", "break a --alive --force"+fence)
		c.want(t, operator, 0, "broke", "break a --alive --force --wait 60 --reason gone"+fence)
		c.want(t, reader, 0, ": gone", "show a")
		for account, statements := range map[string][]string{
			reader:   {"INSERT INTO sqllock_breaks (id) VALUES ('a')"},
			operator: {"UPDATE sqllock_breaks SET reason = ''", "DELETE FROM sqllock_breaks"},
			app:      {"UPDATE sqllock_breaks SET reason = ''"},
		} {
			for _, statement := range statements {
				if _, err := connect(t, account).DB.ExecContext(t.Context(), statement); err == nil {
					t.Errorf("an account that has no right to it ran %s", statement)
				}
			}
		}
		h.end(76)
		next.line("ready")
		next.finish()
	})
}

// account creates an account with the rights of a role, and returns its URL.
func (c lockCommand) account(t *testing.T, admin, role string) string {
	t.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	engine, _, _ := strings.Cut(admin, "://")
	name := "sqllock_" + strings.ToLower(rand.Text()[:10])
	output, code := c.run(t, admin, "grants "+engine+" --role "+role+" --account "+name)
	if code != 0 {
		t.Fatal(output)
	}
	target := connect(t, admin)
	create, drop := "CREATE ROLE "+name+" LOGIN PASSWORD 'p'", []string{"DROP OWNED BY " + name, "DROP ROLE " + name}
	if engine == "mysql" {
		create, drop = "CREATE USER "+name+"@'%' IDENTIFIED BY 'p'", []string{"DROP USER " + name + "@'%'"}
	}
	execute(t, target, create)
	t.Cleanup(func() {
		for _, statement := range drop {
			_, _ = target.DB.ExecContext(context.Background(), statement)
		}
	})
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "--") {
			execute(t, target, line)
		}
	}
	u.User = url.UserPassword(name, "p")
	return u.String()
}

// doctor compares the clocks of the servers that the URL names, or --member. It says which server
// it can't reach, and of which it only knows.
func TestCLIDoctorMembers(t *testing.T) {
	t.Parallel()
	c := buildSqllock(t)
	primary := servers.Private(t, "postgres15") // the one that comes with pg_basebackup
	prepare(t, primary.URL)
	standby := primary.Standby(t)
	u, err := url.Parse(primary.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + standby.Addr()
	c.want(t, u.String(), 0, "clocks of the servers: up to ", "doctor")
	c.want(t, primary.URL, 0, ", "+standby.Addr()+" ", "doctor --member "+standby.Addr())
	c.want(t, primary.URL, 0, "; ClockSkew is 2s", "doctor --clock-skew 2s --member "+standby.URL)
	c.want(t, primary.URL, 0, "note  clock of 127.0.0.1:1: it can't be read", "doctor --member 127.0.0.1:1")
	c.want(t, primary.URL, 1, "none was compared: 127.0.0.1", "doctor --strict")
}

// TestSqllockWaitsForDatabase: a run that starts before its database waits for it, if told so.
func TestSqllockWaitsForDatabase(t *testing.T) {
	c := buildSqllock(t)
	eachPrivate(t, func(t *testing.T, engine string) {
		server := servers.Private(t, engine)
		prepare(t, server.URL)
		server.Kill()
		c.want(t, server.URL, 69, "", "run early -- true")
		c.want(t, server.URL, 69, "waited for the database", "run early --wait-for-database 300ms -- true")
		h := c.start(t, server.URL, "early --wait-for-database 1m", "echo ready")
		await(t, "the run waits for its database", stepTimeout, func() bool {
			return strings.Contains(h.stderr.String(), "the database can't be used yet")
		})
		server.Restart()
		h.line("ready")
		if err := h.Wait(); err != nil {
			t.Errorf("the run ended with %v: %s", err, h.stderr)
		}
	})
}
