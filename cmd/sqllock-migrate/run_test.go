package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/migrations"
)

// command runs a command line, given as words, with answer on stdin.
func command(t *testing.T, answer string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(answer), &out, &errs)
	return code, out.String(), errs.String()
}

// step is a command line and its expected results. stdout and stderr are parts of the expected
// output.
type step struct {
	line           string
	answer         string
	code           int
	stdout, stderr string
}

func runSteps(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		code, stdout, stderr := command(t, s.answer, strings.Fields(s.line)...)
		if code != s.code || !strings.Contains(stdout, s.stdout) || !strings.Contains(stderr, s.stderr) {
			t.Errorf("%s\nanswers %d\nstdout: %s\nstderr: %s\nwant %d, %q, %q",
				s.line, code, stdout, stderr, s.code, s.stdout, s.stderr)
		}
		if s.stdout == "" && stdout != "" {
			t.Errorf("%s\nstdout isn't empty: %s", s.line, stdout)
		}
	}
}

func TestOwnTables(t *testing.T) {
	t.Setenv("SQLLOCK_DATABASE_URL", "sqlite://"+filepath.Join(t.TempDir(), "a.db"))
	runSteps(t, []step{
		{"own version", "", 4, "", "there is no file"},
		{"own status", "", 4, "", "own up would create it, own status doesn't"},
		{"unlock", "", 4, "", "there is no file"},
		{"own up 1", "", 0, "", "1/u leases ("},
		{"own up --verbose", "", 0, "", "finished after"},
		{"own up", "", 0, "", "no change"},
		{"own version", "", 0, "8\n", ""},
		{"own up 1", "", 1, "", "asked for 1 migration, and there was none to apply"},
		{"own goto 1", "", 0, "", "2/d locks ("},
		{"own status", "", 0, "1        leases      applied\n2        locks       pending\n3        waiters     " +
			"pending\n", ""},
		{"own goto 9", "", 1, "", "no migration of version 9"},
		{"own down", "n\n", 1, "", "Not applying all down migrations"},
		{"own down", "", 1, "", "Are you sure you want to apply all down migrations? [y/N]"},
		{"own down", "Y\n", 0, "", "1/d leases ("},
		{"own down --all", "", 0, "", "no change"},
		{"own down --all 1", "", 2, "", "cannot be used with other arguments"},
		{"own force 2", "", 0, "", ""},
		{"own version", "", 0, "2\n", ""},
		{"own force 9", "", 2, "", "can't force version 9"},
		{"own force -2", "", 2, "", `V is "-2"`},
		{"own force -1", "", 0, "", ""},
		{"own up", "", 0, "", "8/u held"},
		{"own drop", "no\n", 1, "", "drop sqllock's tables, and all locks with them? [y/N]"},
		{"own drop -f", "", 0, "", ""},
		{"own version", "", 1, "", "no migration"},
		{"own status", "", 0, "VERSION  NAME        STATE\n1        leases      pending\n2        locks       " +
			"pending\n3        waiters     pending\n4        outcomes    pending\n5        schema      pending\n" +
			"6        " +
			"compatible  pending\n", ""},
	})
}

func TestSourceIsDropIn(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"1_users.up.sql": "CREATE TABLE users (n INTEGER);", "1_users.down.sql": "DROP TABLE users;",
		"2_orders.up.sql": "CREATE TABLE orders (n INTEGER);", "2_orders.down.sql": "DROP TABLE orders;",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "a.db")
	flags := "-path " + folder + " -database sqlite://" + file
	runSteps(t, []step{
		{flags + " -lock-timeout 15 -prefetch 3 -verbose up 1", "", 0, "", "1/u users ("},
		{"-source file://" + folder + " -database=sqlite3://" + file + " up", "", 0, "", "2/u orders ("},
		{"--source " + folder + " --database sqlite://" + file + " version", "", 0, "2\n", ""},
		{"status " + flags, "", 0, "2        orders  applied  20", ""},
		{flags + " down 1", "", 0, "", "2/d orders"},
		{flags + " down -all", "", 0, "", "1/d users"},
		{flags + " version", "", 1, "", "no migration"},
		{flags + " force -- -1", "", 0, "", ""},
		{flags + " force 7", "", 0, "", ""},
		{flags + " status", "", 0, "7                unknown  not recorded\nversion 7, 0 pending, 1 unknown\n", ""},
		{flags + " up", "", 1, "", "version 7"},
		{flags + " drop", "y\n", 0, "", "drop the entire database schema? [y/N]"},
		{flags + "?x-migrations-table=mine up", "", 0, "", "2/u orders"},
		{
			"own up --database sqlite://" + file, "", 0, "",
			"no change",
		}, // up has created these tables, which the lock needs here
		{flags + "?x-migrations-table=mine version", "", 0, "2\n", ""},
		{"own drop -f --database sqlite://" + file, "", 0, "", ""},
		{flags + "?x-migrations-table=mine down 2", "", 0, "", "1/d users"},
	})
}

// No message shows the password, whatever the error.
func TestBadCommandLines(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SQLLOCK_DATABASE_URL", "")
	runSteps(t, []step{
		{"", "", 2, "", "no command"},
		{"pu", "", 2, "", `no command "pu"; did you mean up?`},
		{"own up", "", 2, "", "SQLLOCK_DATABASE_URL"},
		{"up -path .", "", 2, "", "SQLLOCK_DATABASE_URL"},
		{"up x", "", 2, "", `N is "x"`},
		{"up 1 2", "", 2, "", "too many arguments"},
		{"up -1", "", 2, "", `N is "-1"`},
		{"up --bogus", "", 2, "", "unknown flag: --bogus"},
		{"up -bogus", "", 2, "", "unknown flag: --bogus"},
		{"own up -lock-timeout soon", "", 2, "", `flag: want seconds, 0 or more`},
		{"own up -lock-timeout -1", "", 2, "", `flag: want seconds, 0 or more`},
		{"up -lock-ttl 0 --database sqlite://a.db", "", 2, "", "it must be between 100ms and 24h"},
		{"goto", "", 2, "", "needs the version V"},
		{"goto -1", "", 2, "", `V is "-1"`},
		{"force", "", 2, "", "needs the version V"},
		{"version 1", "", 2, "", "too many"},
		{"create", "", 2, "", "needs a NAME"},
		{
			"own up -database psotgres://u:hunter2@h/db", "", 2, "",
			`"psotgres://u:xxxxx@h/db": it must begin with postgres://`,
		},
		{"own up -database postgres:u:hunter2@h/db", "", 2, "", "xxxxx"},
		{"own up -database postgres://u:hun%zzter2@h/db", "", 2, "", "percent-encoded"},
		{"up -path . -database postgres://u:hun%zzter2@h/db", "", 2, "", "percent-encoded"},
		{"own up -database mysql://u:hunter2@h", "", 2, "", "names no database"},
		{"own up -database sqlite://:memory:", "", 2, "", "memory"},
		{"own up -database postgres://u:hunter2@127.0.0.1:1/db", "", 4, "", "connection refused"},
		{"own up -database mysql://u:hunter2@127.0.0.1:1/db", "", 4, "", "connection refused"},
		{"own up -database sqlite:///nonexistent/a.db", "", 4, "", "unable to open database file"},
		{"up -database sqlite://a.db -path " + folder, "", 2, "", "there is no migration"},
		{"up -database sqlite://a.db -path /nonexistent", "", 2, "", "no such directory"},
		{"up -database sqlite://a.db -source github://u:hunter2@a/b", "", 2, "", "github://"},
	})
	for _, line := range []string{
		"own up --json -database postgres://u:hunter2@127.0.0.1:1/db",
		"own up --json -database mysql://u:hunter2@tcp(127.0.0.1:1)/db",
		"own up --json -database postgres://127.0.0.1:1/db?password=hunter2&sslmode=bogus",
	} {
		if _, stdout, stderr := command(t, "", strings.Fields(line)...); strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s shows the password:\n%s%s", line, stdout, stderr)
		}
	}
}

// A verb that doesn't say which tables it is about does nothing and says what to write. So does one
// that names both.
func TestWhichTables(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "a.db")
	t.Setenv("SQLLOCK_DATABASE_URL", "sqlite://"+file)
	var steps []step
	for _, line := range []string{
		"up", "up 1", "down", "down -all", "goto 1", "force 1", "version", "status", "drop", "drop -f",
	} {
		verb, _, _ := strings.Cut(line, " ")
		part := fmt.Sprintf("for sqllock's own tables `sqllock-migrate own %s`", verb)
		steps = append(steps,
			step{line, "y\n", 2, "", part},
			step{line, "y\n", 2, "", "`sqllock-migrate " + verb + " --source DIR`"},
		)
	}
	for _, flags := range []string{
		"-path " + folder, "--source " + folder, "-lock lease", "-lock-ttl 1m", "-lock auto",
	} {
		flag, _, _ := strings.Cut(strings.TrimLeft(flags, "-"), " ")
		steps = append(steps, step{"own up " + flags, "", 2, "", "own up takes no --" + flag})
	}
	steps = append(
		steps,
		step{"own", "", 2, "", "no command given: sqllock-migrate own --help"},
		step{"own pu", "", 2, "", `no command "own pu"; did you mean own up?`},
		step{"own unlock", "", 2, "", `no command "own unlock"`},
		step{"own create x", "", 2, "", `no command "own create"`},
		step{"own goto", "", 2, "", "own goto needs the version V"},
	)
	runSteps(t, steps)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the database was created: %v", err)
	}
	runSteps(t, []step{
		{"own -lock-timeout 3 up -verbose", "", 0, "", "1/u leases"},
		{"own force -1", "", 0, "", ""},
		{"own down -all", "", 0, "", "no change"},
	})
}

func TestJSON(t *testing.T) {
	database := "--database=sqlite://" + filepath.Join(t.TempDir(), "a.db")
	for _, test := range []struct {
		line string
		want string
	}{
		{"own version", `{"command":"own version","error":{"kind":"unreachable","exit":4,"message":"*"}}`},
		{"own up", `{"command":"own up","version":8,"dirty":false,"applied":[` +
			`{"version":1,"name":"leases","direction":"up","file":"0001_leases.up.sql","took_ms":0},` +
			`{"version":2,"name":"locks","direction":"up","file":"0002_locks.up.sql","took_ms":0},` +
			`{"version":3,"name":"waiters","direction":"up","file":"0003_waiters.up.sql","took_ms":0},` +
			`{"version":4,"name":"outcomes","direction":"up","file":"0004_outcomes.up.sql","took_ms":0},` +
			`{"version":5,"name":"schema","direction":"up","file":"0005_schema.up.sql","took_ms":0},` +
			`{"version":6,"name":"compatible","direction":"up","file":"0006_compatible.up.sql","took_ms":0},` +
			`{"version":7,"name":"breaks","direction":"up","file":"0007_breaks.up.sql","took_ms":0},` +
			`{"version":8,"name":"held","direction":"up","file":"0008_held.up.sql","took_ms":0}]}`},
		{"own status", `{"command":"own status","version":8,"dirty":false,` +
			`"counts":{"applied":8,"pending":0,"late":0,"edited":0},"migrations":[` +
			`{"version":1,"name":"leases","state":"applied"},{"version":2,"name":"locks","state":"applied"},` +
			`{"version":3,"name":"waiters","state":"applied"},{"version":4,"name":"outcomes","state":"applied"},` +
			`{"version":5,"name":"schema","state":"applied"},{"version":6,"name":"compatible","state":"applied"},` +
			`{"version":7,"name":"breaks","state":"applied"},{"version":8,"name":"held","state":"applied"}]}`},
		{"own down 1", `{"command":"own down","version":7,"dirty":false,"applied":[` +
			`{"version":8,"name":"held","direction":"down","file":"0008_held.down.sql","took_ms":0}]}`},
		{"own up 2", `{"command":"own up","version":8,"dirty":false,"applied":[` +
			`{"version":8,"name":"held","direction":"up","file":"0008_held.up.sql","took_ms":0}],` +
			`"error":{"kind":"short","exit":1,"message":"*"}}`},
		{"own goto 9", `{"command":"own goto","version":8,"dirty":false,` +
			`"error":{"kind":"unknown_version","exit":1,"message":"*"}}`},
		{"own force 1", `{"command":"own force","version":1,"dirty":false}`},
		{"own drop -f", `{"command":"own drop"}`},
		{"own version", `{"command":"own version","version":-1,"dirty":false,` +
			`"error":{"kind":"failed","exit":1,"message":"*"}}`},
		{"own up x", `{"error":{"kind":"invalid","exit":2,"message":"*"}}`},
	} {
		_, stdout, _ := command(t, "", append(strings.Fields(test.line), "--json", database)...)
		var got result
		decoder := json.NewDecoder(strings.NewReader(stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&got); err != nil {
			t.Errorf("%s: %v: %q", test.line, err, stdout)
			continue
		}
		for i := range got.Applied {
			got.Applied[i].Took = 0
		}
		if got.Error != nil {
			got.Error.Message = "*"
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != test.want {
			t.Errorf("%s: %s\nwant %s", test.line, text, test.want)
		}
	}
}

// Steps of a run that was undone as a whole aren't reported as applied.
func TestJSONOfARunThatWasUndone(t *testing.T) {
	a := &app{database: "sqlite://" + filepath.Join(t.TempDir(), "a.db"), stderr: new(bytes.Buffer)}
	cmd, failed := &cobra.Command{Use: "up"}, errors.New("failed")
	(&cobra.Command{Use: "own"}).AddCommand(cmd)
	cmd.SetContext(t.Context())
	for undone, want := range map[bool]int{true: 0, false: 1} {
		a.result = result{}
		err := a.migrate(cmd, func(context.Context, *migrations.Migrator) ([]migrations.Step, error) {
			step := migrations.Step{File: migrations.File{Version: 1, Name: "one"}}
			a.progress(step)
			if undone {
				return nil, failed
			}
			return []migrations.Step{step}, failed
		})
		if !errors.Is(err, failed) || len(a.result.Applied) != want {
			t.Errorf("undone %v: %v, applied %+v", undone, err, a.result.Applied)
		}
	}
}

// status shows when, for how long and by which holder migrations were applied, and works as a gate
// for a deployment. up refuses late and edited migrations.
func TestStatus(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1_a.up.sql", "CREATE TABLE a (n INTEGER);")
	write("3_c.up.sql", "CREATE TABLE c (n INTEGER);")
	write("3_c.down.sql", "DROP TABLE c;")
	flags := "-path " + folder + " -database sqlite://" + filepath.Join(t.TempDir(), "a.db") + " "
	runSteps(t, []step{
		{flags + "up 1", "", 0, "", "1/u a"},
		{flags + "status", "", 0, "version 1, 1 pending\n", ""},
		{flags + "status --exit-code", "", 7, "3        c     pending\n", "error: the database isn't up to date: " +
			"version 1, 1 pending"},
		{flags + "up", "", 0, "", "3/u c"},
		{flags + "status -exit-code", "", 0, "version 3, 0 pending\n", ""},
		{flags + "validate", "", 0, "1_a.up.sql: warning: ", ""},
	})
	write("2_b.up.sql", "CREATE TABLE b (n INTEGER);")
	write("1_a.up.sql", "CREATE TABLE a (n INTEGER, m INTEGER);")
	runSteps(t, []step{
		{flags + "status", "", 0, "version 3, 0 pending, 1 late, 1 edited\n", ""},
		{flags + "status -exit-code", "", 7, "1        a     edited  20", "1 late"},
		{flags + "up", "", 1, "", "1_a.up.sql: changed after it was applied"},
		{flags + "up", "", 1, "", "2_b.up.sql: not applied"},
		{flags + "repair", "n\n", 1, "", "1_a.up.sql was edited after it was applied, and will count as what was " +
			"applied"},
		{flags + "goto --allow-missing 3", "", 1, "", "1_a.up.sql: changed"},
	})
	write("1_a.up.sql", "CREATE TABLE a (n INTEGER);")
	write("2_b.down.sql", "DROP TABLE b;")
	runSteps(t, []step{
		{flags + "up --allow-missing", "", 0, "", "2/u b"},
		{flags + "redo 2", "", 0, "", "3/u c"},
		{flags + "redo 3", "", 1, "", "1_a.up.sql can't be taken back"},
		{flags + "redo x", "", 2, "", `N is "x"`},
		{flags + "repair", "", 0, "", "repaired 0"},
	})
	write("4_d.up.sql~", "")
	runSteps(t, []step{
		{flags + "validate", "", 1, "4_d.up.sql~: error: 4_d.up.sql~ looks like a copy", "can't be applied: 1 to fix"},
		{flags + "up", "", 2, "", "4_d.up.sql~ looks like a copy"},
		{"validate", "", 2, "", "`sqllock-migrate validate --source DIR`"},
		{"validate -path /nonexistent", "", 2, "", "no such directory"},
	})
}

// --json says the same as the text.
func TestStatusJSON(t *testing.T) {
	folder := t.TempDir()
	second := []byte("CREATE TABLE b (n INTEGER);")
	if err := os.WriteFile(filepath.Join(folder, "2_b.up.sql"), second, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--json", "-path", folder, "-database", "sqlite://" + filepath.Join(t.TempDir(), "a.db")}
	answer := func(code int, args ...string) (r result) {
		t.Helper()
		got, stdout, stderr := command(t, "", append(flags, args...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || got != code {
			t.Fatalf("%v: %d, %v: %s%s", args, got, err, stdout, stderr)
		}
		return r
	}
	answer(0, "up")
	first := []byte("CREATE TABLE a (n INTEGER);")
	if err := os.WriteFile(filepath.Join(folder, "1_a.up.sql"), first, 0o600); err != nil {
		t.Fatal(err)
	}
	r := answer(7, "status", "--exit-code")
	late, applied := r.Migrations[0], r.Migrations[1]
	if *r.Counts != (counts{Applied: 1, Late: 1}) || r.Error.Kind != "behind" ||
		r.History != `main."schema_migrations_history"` ||
		late.State != migrations.StateLate || late.At != nil {
		t.Errorf("%+v", r)
	}
	if applied.State != migrations.StateApplied || applied.How != migrations.HowRun || applied.At == nil ||
		applied.Took <= 0 || applied.By == "" || applied.Checksum == "" {
		t.Errorf("%+v", applied)
	}
	if r := answer(1, "up"); r.Error.Kind != "late" {
		t.Errorf("%+v", r.Error)
	}
	if r := answer(0, "repair", "-f"); len(r.Repaired) != 1 || r.Repaired[0].Version != 1 {
		t.Errorf("%+v", r)
	}
	if r := answer(0, "validate"); len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(filepath.Join(folder, "02_b.up.sql"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := answer(1, "validate"); len(r.Problems) != 2 || r.Problems[1].Severity != "error" ||
		r.Error.Kind != "invalid_folder" {
		t.Errorf("%+v", r)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, line := range []string{
		"-help", "--help", "-h", "help", "up -help", "own -help", "own up --help", "-version", "--version",
	} {
		code, stdout, stderr := command(t, "", strings.Fields(line)...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%s: %d, %q, %q", line, code, stdout, stderr)
		}
	}
	_, stdout, _ := command(t, "", "--help")
	for _, part := range []string{"Exit codes", "130", "SQLLOCK_DATABASE_URL", "mysql://"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("--help doesn't contain %q", part)
		}
	}
}

func TestDirtyDatabase(t *testing.T) {
	folder := t.TempDir()
	bad := filepath.Join(folder, "1_bad.up.sql")
	text := []byte("CREATE TABLE a (n INTEGER);\nCREATE TABEL b (n INTEGER);\n")
	if err := os.WriteFile(bad, text, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := "-path " + folder + " -database sqlite://" + filepath.Join(t.TempDir(), "a.db")
	runSteps(t, []step{
		{flags + " up", "", 1, "", "error: 1_bad.up.sql:2:8: "},
		{flags + " up", "", 1, "", "That migration was undone, and the database is empty as it was"},
		{flags + " version", "", 1, "", "no migration"},
	})
	flags += "?x-no-tx-wrap=true"
	runSteps(t, []step{
		{flags + " up", "", 1, "", "couldn't be undone (x-no-tx-wrap=true keeps it outside a transaction)"},
		{flags + " up", "", 3, "", "dirty at version 1"},
		{flags + " version", "", 0, "1 (dirty)\n", ""},
		{flags + " status", "", 0, "1        bad   dirty\n", ""},
		{flags + " force -1", "", 0, "", ""},
		{flags + " version", "", 1, "", "no migration"},
	})
	if err := os.WriteFile(bad, []byte("CREATE TABLE b (n INTEGER);"), 0o600); err != nil {
		t.Fatal(err)
	}
	runSteps(t, []step{{flags + " up", "", 0, "", "1/u bad"}})
}
