package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// step is a command line and what must come of it; stdout and stderr are pieces that must be there.
type step struct {
	line           string
	answer         string
	code           int
	stdout, stderr string
}

func play(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		code, stdout, stderr := command(t, s.answer, strings.Fields(s.line)...)
		if code != s.code || !strings.Contains(stdout, s.stdout) || !strings.Contains(stderr, s.stderr) {
			t.Errorf("%s\nanswers %d\nstdout: %s\nstderr: %s\nwant %d, %q, %q", s.line, code, stdout, stderr, s.code, s.stdout, s.stderr)
		}
		if s.stdout == "" && stdout != "" {
			t.Errorf("%s\nstdout isn't empty: %s", s.line, stdout)
		}
	}
}

func TestOwnTables(t *testing.T) {
	t.Setenv("SQLLOCK_DATABASE_URL", "sqlite://"+filepath.Join(t.TempDir(), "a.db"))
	play(t, []step{
		{"version", "", 4, "", "there is no file"},
		{"status", "", 4, "", "up would make it, status doesn't"},
		{"unlock", "", 4, "", "there is no file"},
		{"up 1", "", 0, "", "1/u leases ("},
		{"up --verbose", "", 0, "", "finished after"},
		{"up", "", 0, "", "no change"},
		{"version", "", 0, "4\n", ""},
		{"up 1", "", 1, "", "only 0 to apply"},
		{"goto 1", "", 0, "", "2/d locks ("},
		{"status", "", 0, "1        leases    applied\n2        locks     pending\n3        waiters   pending\n", ""},
		{"goto 5", "", 1, "", "no migration of version 5"},
		{"down", "n\n", 1, "", "Not applying all down migrations"},
		{"down", "", 1, "", "Are you sure you want to apply all down migrations? [y/N]"},
		{"down", "Y\n", 0, "", "1/d leases ("},
		{"down --all", "", 0, "", "no change"},
		{"down --all 1", "", 2, "", "cannot be used with other arguments"},
		{"force 2", "", 0, "", ""},
		{"version", "", 0, "2\n", ""},
		{"force 5", "", 2, "", "can't force version 5"},
		{"force -2", "", 2, "", `V is "-2"`},
		{"force -1", "", 0, "", ""},
		{"up", "", 0, "", "4/u outcomes"},
		{"drop", "no\n", 1, "", "drop sqllock's tables, and all locks with them? [y/N]"},
		{"drop -f", "", 0, "", ""},
		{"version", "", 1, "", "no migration"},
		{"status", "", 0, "VERSION  NAME      STATE\n1        leases    pending\n2        locks     pending\n" +
			"3        waiters   pending\n4        outcomes  pending\n", ""},
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
	play(t, []step{
		{flags + " -lock-timeout 15 -prefetch 3 -verbose up 1", "", 0, "", "1/u users ("},
		{"-source file://" + folder + " -database=sqlite3://" + file + " up", "", 0, "", "2/u orders ("},
		{"--source " + folder + " --database sqlite://" + file + " version", "", 0, "2\n", ""},
		{"status " + flags, "", 0, "2        orders  applied\n", ""},
		{flags + " down 1", "", 0, "", "2/d orders"},
		{flags + " down -all", "", 0, "", "1/d users"},
		{flags + " version", "", 1, "", "no migration"},
		{flags + " force -- -1", "", 0, "", ""},
		{flags + " force 7", "", 0, "", ""},
		{flags + " status", "", 0, "7                unknown\n", ""},
		{flags + " up", "", 1, "", "version 7"},
		{flags + " drop", "y\n", 0, "", "drop the entire database schema? [y/N]"},
		{flags + "?x-migrations-table=mine up", "", 0, "", "2/u orders"},
		{"up --database sqlite://" + file, "", 0, "", "no change"}, // sqllock's own beside them, which the lock needs here
		{flags + "?x-migrations-table=mine version", "", 0, "2\n", ""},
		{"drop -f --database sqlite://" + file, "", 0, "", ""},
		{flags + "?x-migrations-table=mine down 2", "", 0, "", "1/d users"},
	})
}

// No message shows the password, whatever is wrong.
func TestBadCommandLines(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SQLLOCK_DATABASE_URL", "")
	play(t, []step{
		{"", "", 2, "", "no command"},
		{"pu", "", 2, "", `no command "pu"; did you mean up?`},
		{"up", "", 2, "", "SQLLOCK_DATABASE_URL"},
		{"up x", "", 2, "", `N is "x"`},
		{"up 1 2", "", 2, "", "too many arguments"},
		{"up -1", "", 2, "", `N is "-1"`},
		{"up --bogus", "", 2, "", "unknown flag: --bogus"},
		{"up -bogus", "", 2, "", "unknown flag: --bogus"},
		{"up -lock-timeout soon", "", 2, "", `flag: want seconds, 0 or more`},
		{"up -lock-timeout -1", "", 2, "", `flag: want seconds, 0 or more`},
		{"up -lock-ttl 0 --database sqlite://a.db", "", 2, "", "it must be between 100ms and 24h"},
		{"goto", "", 2, "", "needs the version V"},
		{"goto -1", "", 2, "", `V is "-1"`},
		{"force", "", 2, "", "needs the version V"},
		{"version 1", "", 2, "", "too many"},
		{"create", "", 2, "", "needs a NAME"},
		{"up -database psotgres://u:hunter2@h/db", "", 2, "", `"psotgres://u:xxxxx@h/db": it must begin with postgres://`},
		{"up -database postgres:u:hunter2@h/db", "", 2, "", "xxxxx"},
		{"up -database postgres://u:hun%zzter2@h/db", "", 2, "", "percent-encoded"},
		{"up -path . -database postgres://u:hun%zzter2@h/db", "", 2, "", "percent-encoded"},
		{"up -database mysql://u:hunter2@h", "", 2, "", "names no database"},
		{"up -database sqlite://:memory:", "", 2, "", "memory"},
		{"up -database postgres://u:hunter2@127.0.0.1:1/db", "", 4, "", "connection refused"},
		{"up -database mysql://u:hunter2@127.0.0.1:1/db", "", 4, "", "connection refused"},
		{"up -database sqlite:///nonexistent/a.db", "", 4, "", "unable to open database file"},
		{"up -database sqlite://a.db -path " + folder, "", 2, "", "there is no migration"},
		{"up -database sqlite://a.db -path /nonexistent", "", 2, "", "no such directory"},
		{"up -database sqlite://a.db -source github://u:hunter2@a/b", "", 2, "", "github://"},
	})
	for _, line := range []string{
		"up --json -database postgres://u:hunter2@127.0.0.1:1/db",
		"up --json -database mysql://u:hunter2@tcp(127.0.0.1:1)/db",
		"up --json -database postgres://127.0.0.1:1/db?password=hunter2&sslmode=bogus",
	} {
		if _, stdout, stderr := command(t, "", strings.Fields(line)...); strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s shows the password:\n%s%s", line, stdout, stderr)
		}
	}
}

func TestJSON(t *testing.T) {
	database := "--database=sqlite://" + filepath.Join(t.TempDir(), "a.db")
	for _, test := range []struct {
		line string
		want string
	}{
		{"version", `{"command":"version","error":{"kind":"unreachable","exit":4,"message":"*"}}`},
		{"up", `{"command":"up","version":4,"dirty":false,"applied":[` +
			`{"version":1,"name":"leases","direction":"up","file":"0001_leases.up.sql","took_ms":0},` +
			`{"version":2,"name":"locks","direction":"up","file":"0002_locks.up.sql","took_ms":0},` +
			`{"version":3,"name":"waiters","direction":"up","file":"0003_waiters.up.sql","took_ms":0},` +
			`{"version":4,"name":"outcomes","direction":"up","file":"0004_outcomes.up.sql","took_ms":0}]}`},
		{"status", `{"command":"status","version":4,"dirty":false,"migrations":[` +
			`{"version":1,"name":"leases","state":"applied"},{"version":2,"name":"locks","state":"applied"},` +
			`{"version":3,"name":"waiters","state":"applied"},{"version":4,"name":"outcomes","state":"applied"}]}`},
		{"down 1", `{"command":"down","version":3,"dirty":false,"applied":[` +
			`{"version":4,"name":"outcomes","direction":"down","file":"0004_outcomes.down.sql","took_ms":0}]}`},
		{"up 2", `{"command":"up","version":4,"dirty":false,"applied":[` +
			`{"version":4,"name":"outcomes","direction":"up","file":"0004_outcomes.up.sql","took_ms":0}],` +
			`"error":{"kind":"short","exit":1,"message":"*"}}`},
		{"goto 9", `{"command":"goto","version":4,"dirty":false,"error":{"kind":"unknown_version","exit":1,"message":"*"}}`},
		{"force 1", `{"command":"force","version":1,"dirty":false}`},
		{"drop -f", `{"command":"drop"}`},
		{"version", `{"command":"version","version":-1,"dirty":false,"error":{"kind":"failed","exit":1,"message":"*"}}`},
		{"up x", `{"error":{"kind":"invalid","exit":2,"message":"*"}}`},
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

// Steps of a run that was undone as a whole aren't among those that were applied.
func TestJSONOfARunThatWasUndone(t *testing.T) {
	a := &app{database: "sqlite://" + filepath.Join(t.TempDir(), "a.db"), stderr: new(bytes.Buffer)}
	cmd, failed := &cobra.Command{Use: "up"}, errors.New("failed")
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

func TestHelpAndVersion(t *testing.T) {
	for _, line := range []string{"-help", "--help", "-h", "help", "up -help", "-version", "--version"} {
		code, stdout, stderr := command(t, "", strings.Fields(line)...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%s: %d, %q, %q", line, code, stdout, stderr)
		}
	}
	_, stdout, _ := command(t, "", "--help")
	for _, says := range []string{"Exit codes", "130", "SQLLOCK_DATABASE_URL", "mysql://"} {
		if !strings.Contains(stdout, says) {
			t.Errorf("--help doesn't say %q", says)
		}
	}
}

func TestDirtyDatabase(t *testing.T) {
	folder := t.TempDir()
	bad := filepath.Join(folder, "1_bad.up.sql")
	if err := os.WriteFile(bad, []byte("CREATE TABLE a (n INTEGER);\nCREATE TABEL b (n INTEGER);\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := "-path " + folder + " -database sqlite://" + filepath.Join(t.TempDir(), "a.db")
	play(t, []step{
		{flags + " up", "", 1, "", "error: 1_bad.up.sql:2:8: "},
		{flags + " up", "", 3, "", "dirty at version 1"},
		{flags + " version", "", 0, "1 (dirty)\n", ""},
		{flags + " status", "", 0, "1        bad   dirty\n", ""},
		{flags + " force -1", "", 0, "", ""},
		{flags + " version", "", 1, "", "no migration"},
	})
	if err := os.WriteFile(bad, []byte("CREATE TABLE a (n INTEGER);"), 0o600); err != nil {
		t.Fatal(err)
	}
	play(t, []step{{flags + " up", "", 0, "", "1/u bad"}})
}
