package servers

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func eachPrivate(t *testing.T, f func(t *testing.T, i *Instance)) {
	for _, name := range Engines {
		if name == "sqlite" {
			continue
		}
		t.Run(name, func(t *testing.T) { f(t, Private(t, name)) })
	}
}

func TestPrivateKillAndRestart(t *testing.T) {
	eachPrivate(t, func(t *testing.T, i *Instance) {
		db := open(t, i)
		mustExec(t, db, "CREATE TABLE things (id int)")
		mustExec(t, db, "INSERT INTO things VALUES (42)")
		i.Kill()
		if err := pingWithin(db, time.Second); err == nil {
			t.Fatal("a killed server responds")
		}
		i.Restart()
		var id int
		if err := db.QueryRowContext(t.Context(), "SELECT id FROM things").Scan(&id); err != nil || id != 42 {
			t.Errorf("after the restart: %d, %v", id, err)
		}
		i.Restart() // of a server that runs
		if err := pingWithin(db, stepTimeout); err != nil {
			t.Errorf("after a second restart: %v", err)
		}
		if text, err := os.ReadFile(i.Log()); err != nil || strings.Count(string(text), i.local.program.ready) < 3 {
			t.Errorf("the log doesn't show three starts: %v\n%s", err, text)
		}
	})
}

func TestPrivateStopAndCont(t *testing.T) {
	eachPrivate(t, func(t *testing.T, i *Instance) {
		db := open(t, i)
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		result := make(chan error, 1)
		i.Stop()
		i.Stop() // stopping twice has no further effect
		go func() {
			var one int
			result <- conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
		}()
		select {
		case err := <-result:
			t.Errorf("a stopped server responded: %v", err)
		case <-time.After(300 * time.Millisecond):
		}
		i.Cont()
		if err := <-result; err != nil {
			t.Errorf("the connection didn't survive: %v", err)
		}
		i.Stop()
		i.Kill() // kills a stopped server too
		if err := pingWithin(db, time.Second); err == nil {
			t.Error("a killed server responds")
		}
	})
}

func TestStandby(t *testing.T) {
	primary := Private(t, "postgres15", Durable())
	db := open(t, primary)
	mustExec(t, db, "CREATE TABLE things (id int)")
	mustExec(t, db, "INSERT INTO things VALUES (1)")
	standby := primary.Standby(t)
	mustExec(t, db, "INSERT INTO things VALUES (2)")
	standby.CatchUp(t, primary)
	standby.Detach(t)
	mustExec(t, db, "INSERT INTO things VALUES (3)")
	primary.Kill()
	standby.Promote(t)
	db = open(t, standby)
	mustExec(t, db, "INSERT INTO things VALUES (4)")
	var ids string
	const all = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM things"
	if err := db.QueryRowContext(t.Context(), all).Scan(&ids); err != nil {
		t.Fatal(err)
	}
	if ids != "1 2 4" {
		t.Errorf("the promoted standby has %s, want 1 2 4: it must miss what came after Detach", ids)
	}
}

func TestPrivateSQLite(t *testing.T) {
	tb := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Private(tb, "sqlite")
	}()
	if <-done; tb.outcome != "fatal" {
		t.Errorf("Private for sqlite: %q, want fatal", tb.outcome)
	}
}

// TestNothingOutlivesTheProcess kills a process that has a shared server and a stopped one of its
// own. All their processes must end, and the next process must remove the files.
func TestNothingOutlivesTheProcess(t *testing.T) {
	for _, engine := range []string{"postgres15", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			Private(t, engine) // skips the test if there is no such server
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), abandonKey+"="+engine, "SQLLOCK_TEST_PROVIDER=local")
			child.Stderr = os.Stderr
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			var dir string
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if d, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
					dir = d
					break
				}
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
			if dir == "" {
				t.Fatal("the process ended before its servers were ready")
			}
			eventually(t, "processes still run in "+dir, func() bool { return len(processesIn(dir)) == 0 })
			removeStale()
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s was not removed: %v", dir, err)
			}
		})
	}
}

const abandonKey = "SQLLOCK_TEST_ABANDON"

func TestMain(m *testing.M) {
	if engine := os.Getenv(abandonKey); engine != "" {
		abandon(engine)
	}
	Main(m)
}

// abandon is the main function of the process that TestNothingOutlivesTheProcess kills.
func abandon(name string) {
	s, err := resolve(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l, err := launch(s.engine, local{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := l.process.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, _ := workDir()
	if len(processesIn(dir)) < 2 {
		fmt.Fprintln(os.Stderr, "fewer than two processes run in", dir)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, "ready", dir)
	_ = syscall.Pause()
}

// processesIn lists the processes whose working directory is below dir.
func processesIn(dir string) []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir+"/") {
			found = append(found, link)
		}
	}
	return found
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
