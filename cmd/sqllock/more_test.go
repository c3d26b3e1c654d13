//go:build unix

package main

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/internal/cli"
)

// One process leads at a time, and each term has a greater number than the one before.
func TestElect(t *testing.T) {
	newDatabase(t)
	check(t, []want{
		{"elect a", 64, "", "needs a command"},
		{"elect -- true", 64, "", "needs the NAME"},
		{"elect a --observe -- true", 64, "", "no command"},
		{"elect a --to b -- true", 64, "", "--handover"},
		{"elect a -- nosuchprogram", 127, "", "there is no program"},
		{"elect a --handover", 0, "", ""}, // nobody leads
	})
	check(t, []want{{"elect a --", 3, "a 1", ""}}, "sh", "-c", "echo $SQLLOCK_NAME $SQLLOCK_FENCE; exit 3")
	observer := start(t, "", "elect a --observe")
	observer.line("{")
	one := start(t, "signals", "elect a --identity first --events json --", testBinary)
	first := one.await("leads").Fence
	one.line("ready")
	two := start(t, "signals", "elect a --identity second --events json --", testBinary)
	seen := term{}
	for seen.Leader != "first" {
		_ = json.Unmarshal([]byte(observer.line("{")), &seen)
	}
	if seen.Term != first {
		t.Errorf("--observe shows term %d, and it is %d", seen.Term, first)
	}
	check(t, []want{{"elect a --handover --to second -w 20", 0, "", ""}})
	if e := one.await("stopping"); !strings.Contains(e.Message, "hand over") {
		t.Errorf("the first stops because %s", e.Message)
	}
	if second := two.await("leads").Fence; second <= first {
		t.Errorf("term %d after %d", second, first)
	}
	two.line("ready")
	one.await("follows")
	check(t, []want{{"elect a --handover --to nosuch -w 1s", 75, "", "nosuch"}})
	two.finish()       // its command ends, and it with it
	one.await("leads") // again
	one.line("15")
	one.line("ready")
	three := start(t, "", "elect a --identity third --events json -- echo ran")
	until(t, "the third campaigns", func() bool {
		_, n, _ := command(t, "ls a --count --stuck=0")
		return n == "1\n"
	})
	three.signal(syscall.SIGINT) // another process leads
	if out := three.end(128 + int(syscall.SIGINT)); len(out) > 0 {
		t.Errorf("a candidate ran its command: %q", out)
	}
	one.finish()
	observer.signal(syscall.SIGINT)
	observer.end(0)
}

// A leader whose lead was broken stops its command, and may lead again.
func TestElectLost(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "signals", "elect a --ttl 1500ms --events json --", testBinary)
	first := p.await("leads").Fence
	p.line("ready")
	if _, err := db.ExecContext(t.Context(), "UPDATE sqllock_locks SET owner = NULL, lease_id = NULL"); err != nil {
		t.Fatal(err)
	}
	p.line("15")
	if again := p.await("leads").Fence; again <= first {
		t.Errorf("term %d after %d", again, first)
	}
	p.line("ready")
	p.finish()
}

// A leader that is about to hand over and loses the lead meanwhile has no more time.
func TestElectLostWhileHandingOver(t *testing.T) {
	db := newDatabase(t)
	p := start(t, "stubborn", "elect a --ttl 1500ms --kill-after 1m --events json --", testBinary)
	p.line("ready")
	asks := start(t, "", "elect a --handover")
	p.await("stopping")
	if _, err := db.ExecContext(t.Context(), "DELETE FROM sqllock_leases"); err != nil {
		t.Fatal(err)
	}
	p.await("killed")
	asks.end(0)
	p.await("leads") // again
	p.signal(syscall.SIGKILL)
	p.end(-int(syscall.SIGKILL))
}

func TestDoctor(t *testing.T) {
	db := newDatabase(t)
	check(t, []want{
		{"doctor", 0, "ok    lease locks: of two callers", ""},
		{"doctor", 0, "note  session locks", ""},
		{"doctor --strict", 1, "", "may surprise"},
		{"doctor --member other", 64, "", "names no server"},
		{"doctor --member nosuch://u:s3cret@other/d", 64, "", "nosuch://u:xxxxx@other/d"},
	})
	if doc := documentOf(t, 0, "doctor"); len(doc.Findings) < 5 || doc.Findings[0].What != "tables" {
		t.Errorf("doctor --json has %+v", doc.Findings)
	}
	for _, statement := range []string{
		"UPDATE sqllock_schema_migrations SET version = 5", // its program is too new
		"UPDATE sqllock_schema_migrations SET dirty = 1",
		"DROP TABLE sqllock_waiters",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		check(t, []want{{"doctor", 1, "BAD   tables:", "are bad"}})
	}
	check(t, []want{{"doctor --database postgres://u:p@127.0.0.1:1/d", 69, "", "can't be reached"}})
}

// What guard-sql prints does nothing while the lock is held, and otherwise ends the transaction.
func TestGuardSQL(t *testing.T) {
	db := newDatabase(t)
	for _, name := range []string{"a", `it's "\x"`, "\u00e9 --"} {
		for _, kind := range []string{"", "--shared", "-n3"} {
			args := []string{"run", name}
			if kind != "" {
				args = append(args, kind)
			}
			code, statement, stderr := command(t, "", append(args, "--", commandPath(t), "guard-sql")...)
			if code != 0 {
				t.Fatalf("guard-sql ends with %d: %s", code, stderr)
			}
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS t (n INTEGER)"); err != nil {
				t.Fatal(err)
			}
			for _, owner := range []string{"owner", "'another'"} { // the run has ended, and another holds the lock
				_, _ = db.ExecContext(t.Context(), "UPDATE sqllock_locks SET owner = "+owner)
				if err := guardedInsert(t, db, statement); err == nil {
					t.Errorf("without the lock %s succeeds", statement)
				}
			}
			if n := query(t, db, "SELECT count(*) FROM t"); n != 0 {
				t.Error("the transaction was committed without the lock")
			}
			_, _ = db.ExecContext(t.Context(), "UPDATE sqllock_locks SET owner = '"+ownerIn(statement)+"'")
			if err := guardedInsert(t, db, statement); err != nil {
				t.Errorf("with the lock %s fails: %v", statement, err)
			}
			if n := query(t, db, "SELECT count(*) FROM t"); n != 1 {
				t.Error("the transaction was not committed with the lock")
			}
			_, _ = db.ExecContext(t.Context(), "DELETE FROM t; UPDATE sqllock_locks SET owner = NULL")
		}
	}
	check(t, []want{
		{"guard-sql", 64, "", "inside of"},
		{"guard-sql nosuch", 64, "", "there is no engine"},
	})
}

// ownerIn returns the owner token in a statement.
func ownerIn(statement string) string {
	_, after, _ := strings.Cut(statement, "owner = '")
	owner, _, _ := strings.Cut(after, "'")
	return owner
}

// Every flag of every command has its own variable, and --help names it.
func TestVariables(t *testing.T) {
	root := (&app{stderr: io.Discard}).root()
	flags := map[string]*pflag.Flag{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		note := func(f *pflag.Flag) {
			name := cli.Variable(cmd, f)
			if other, taken := flags[name]; taken && other != f {
				t.Errorf("%s is for two flags, one of them %s --%s", name, cmd.CommandPath(), f.Name)
			}
			flags[name] = f
			if !strings.Contains(f.Usage, "[$"+name+"]") {
				t.Errorf("%s --%s: the help doesn't name %s: %s", cmd.CommandPath(), f.Name, name, f.Usage)
			}
		}
		cmd.PersistentFlags().VisitAll(note)
		cmd.LocalNonPersistentFlags().VisitAll(note)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	for _, name := range []string{"SQLLOCK_DATABASE_URL", "SQLLOCK_DATABASE_URL_FILE", "SQLLOCK_RUN_TTL"} {
		if flags[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	for _, name := range []string{envName, envFence, envOwner, envSlot} { // a child's environment is no command line
		if flags[name] != nil {
			t.Errorf("%s is a flag's", name)
		}
	}
	newDatabase(t)
	t.Setenv("SQLLOCK_RUN_SHELL", "true")
	check(t, []want{{"run a --", 0, "from the environment\n", ""}}, "echo from the environment")
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true},
		{"*", "a/b", true},
		{"a*", "a/b", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"a.c", "abc", false},
		{"[a]", "a", false},
		{"[a]", "[a]", true},
		{"A", "a", false},
	} {
		if got := glob(c.pattern)(c.text); got != c.want {
			t.Errorf("glob %q matches %q: %t", c.pattern, c.text, got)
		}
	}
}

func TestGrants(t *testing.T) {
	check(t, []want{
		{"grants postgres --role reader", 0, `GRANT SELECT ON sqllock_locks TO "sqllock_reader";`, ""},
		{"grants mysql --role operator --account ann@10.%", 0, "UPDATE ON sqllock_locks TO 'ann'@'10.%';", ""},
		{"grants sqlserver --role application --account app", 0, "DELETE ON sqllock_leases TO [app];", ""},
		{"grants postgres --role application", 0, `GRANT SELECT, INSERT, DELETE ON sqllock_breaks TO`, ""},
		{"grants postgres --role operator", 0, `GRANT SELECT, INSERT ON sqllock_breaks TO`, ""},
		{"grants mysql --role reader", 0, "GRANT SELECT ON sqllock_held TO", ""},
		{"grants sqlite --role reader", 64, "", "no accounts"},
		{"grants postgres", 64, "", "want one of"},
		{"grants --role reader", 64, "", "needs the ENGINE"},
	})
	if doc := documentOf(t, 0, "grants postgres --role reader"); strconv.Itoa(len(doc.SQL)) == "0" {
		t.Error("--json has no SQL")
	}
}

func TestCommandLine(t *testing.T) {
	check(t, []want{
		{"", 64, "", "no command given"},
		{"lss", 64, "", "did you mean ls"},
		{"--version", 0, "sqllock version", ""},
		{"--help", 0, "Exit codes", ""},
		{"run --help", 0, "SIGKILL", ""},
		{"completion bash", 0, "bash completion", ""},
		{"ls --quiet --verbose --env none", 64, "", "exclude each other"},
	})
}

// TestBench: bench measures every number of goroutines, and leaves no row.
func TestBench(t *testing.T) {
	db := newDatabase(t)
	code, stdout, stderr := command(t, "bench --for 20ms --goroutines 1,3 --json")
	var shown document
	if err := json.Unmarshal([]byte(stdout), &shown); code != 0 || err != nil || len(shown.Bench) != 2 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	for i, r := range shown.Bench {
		if r.Goroutines != []int{1, 3}[i] || r.Cycles <= 0 || r.HandOvers <= 0 || r.CycleMedian <= 0 ||
			r.Cycle99 < r.CycleMedian {
			t.Errorf("measured %+v", r)
		}
	}
	var rows int
	if err := db.QueryRow("SELECT COUNT(*) FROM sqllock_locks").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows of locks are left, %v", rows, err)
	}
	if code, stdout, stderr = command(t, "bench --for 20ms --goroutines 2"); code != 0 ||
		!strings.Contains(stdout, "HAND-OVERS/S") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, line := range []string{"bench --goroutines 0", "bench --goroutines 1001", "bench --for 0s"} {
		if code, _, stderr := command(t, line); code != 64 {
			t.Errorf("%s: exit code %d: %s", line, code, stderr)
		}
	}
}
