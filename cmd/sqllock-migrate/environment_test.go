package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqllock/sqllock/internal/cli"
)

// Every flag of every command has its own variable, and --help names it.
func TestEveryFlagHasAVariable(t *testing.T) {
	root := (&app{stderr: io.Discard}).root()
	flags := map[string]*pflag.Flag{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		note := func(f *pflag.Flag) {
			if f.Name == "help" || f.Name == "version" {
				return
			}
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
	for _, name := range []string{
		"SQLLOCK_DATABASE_URL", "SQLLOCK_DATABASE_URL_FILE", "SQLLOCK_LOCK_TIMEOUT", "SQLLOCK_ENV",
		"SQLLOCK_DROP_FORCE",
		"SQLLOCK_OWN_DROP_FORCE", "SQLLOCK_DOWN_ALL", "SQLLOCK_CREATE_DIR",
	} {
		if flags[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

// inFolder changes into a new folder, with migrations in m and a file .env.
func inFolder(t *testing.T, env string) (database string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		".env": env, "m/1_users.up.sql": "CREATE TABLE users (n INTEGER);", "m/1_users.down.sql": "DROP TABLE users;",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"SQLLOCK_DATABASE_URL", "SQLLOCK_SOURCE"} {
		t.Setenv(name, "")
	}
	return "sqlite://" + dir + "/a.db"
}

// The command line takes precedence over the environment, and the environment over the file .env.
func TestEnvironment(t *testing.T) {
	database := inFolder(t, "SQLLOCK_DATABASE_URL=sqlite://a.db\nexport "+
		"SQLLOCK_SOURCE='nowhere'\nOTHER=x\nSQLLOCK_LOCK=lease\n")
	runSteps(t, []step{
		{"up", "", 2, "", "nowhere: there is no such directory"},
		{"-path m up", "", 0, "", "1/u users"},
		{"-path m version", "", 0, "1\n", ""},
		{"own version", "", 0, "8\n", ""}, // .env selects a lease, which has created the tables; own ignores --source
		{"-env none -path m version", "", 2, "", "no database"},
		{"-env missing -path m version", "", 2, "", "--env: open missing"},
		{"-path m -database sqlite://other.db version", "", 4, "", "there is no file other.db"},
	})
	t.Setenv("SQLLOCK_SOURCE", "m")
	t.Setenv("SQLLOCK_VERBOSE", "true")
	runSteps(t, []step{{"version", "", 0, "1\n", "finished after"}, {
		"status", "", 0, "1        users  applied  20",
		"",
	}})
	t.Setenv("SQLLOCK_LOCK_TIMEOUT", "soon")
	runSteps(t, []step{{"version", "", 2, "", "SQLLOCK_LOCK_TIMEOUT: want seconds"}, {
		"-lock-timeout 3 version", "",
		0, "1\n", "",
	}})
	t.Setenv("SQLLOCK_LOCK_TIMEOUT", "0")
	t.Setenv("SQLLOCK_FORCE", "1") // the variable of no flag
	runSteps(t, []step{{"drop", "n\n", 1, "", "Are you sure"}})
	t.Setenv("SQLLOCK_DROP_FORCE", "1")
	t.Setenv("SQLLOCK_ENV", "missing")
	runSteps(t, []step{
		{"version", "", 2, "", "--env: open missing"},
		{"-env .env version", "", 0, "1\n", ""},
	})
	t.Setenv("SQLLOCK_ENV", "none")
	t.Setenv("SQLLOCK_DATABASE_URL", database)
	runSteps(t, []step{{"drop", "", 0, "", "finished after"}})
}

// A .env of another program doesn't stop the command, and nothing of it is shown.
func TestEnvironmentOfAnother(t *testing.T) {
	database := inFolder(t, "PASSWORD hunter2\n\x00=}{")
	runSteps(t, []step{{"-path m -database " + database + " up", "", 0, "", "ignoring .env"}})
	for _, line := range []string{"-path m up", "-env .env -path m up"} {
		if code, _, stderr := command(t, "", strings.Fields(line)...); code != 2 ||
			strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: %d, %s", line, code, stderr)
		}
	}
}

// The URL may come from a file. Two sources of one rank are refused.
func TestURLFile(t *testing.T) {
	database := inFolder(t, "")
	if err := os.WriteFile("url", []byte(database+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("empty", []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SQLLOCK_DATABASE_URL_FILE", "url")
	runSteps(t, []step{
		{"-path m up", "", 0, "", "1/u users"},
		{"-path m -database-url-file url version", "", 0, "1\n", ""},
		{"-path m -database-url-file empty version", "", 2, "", "the file empty is empty"},
		{"-path m -database-url-file nosuch version", "", 2, "", "--database-url-file: open nosuch"},
		{"-path m -database sqlite://other.db version", "", 4, "", "there is no file other.db"},
		{"-path m -database x -database-url-file url version", "", 2, "", "exclude each other"},
		{"create -dir made x", "", 0, "made", ""}, // which needs no database
	})
	t.Setenv("SQLLOCK_DATABASE_URL", database)
	runSteps(t, []step{
		{"-path m version", "", 2, "", "both set"},
		{"-path m -database-url-file url version", "", 0, "1\n", ""},
	})
}
