package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/migrations/lock"
)

// app is one invocation.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	database    string
	source      string
	path        string
	lockTimeout lockTimeout
	lock        lockKind
	lockTTL     lockTTL
	prefetch    uint
	verbose     bool
	json        bool

	waitedFor []string
	result    result
}

// run executes a command line and answers the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, lockTimeout: lockTimeout(defaultLockTimeout), lock: lockKind{lock.Auto}, lockTTL: lockTTL{lockTimeout(lock.DefaultTTL)}}
	defer context.AfterFunc(ctx, func() {
		a.say("stopping after the migration that is under way; once more to kill it")
	})()
	root := a.root()
	root.SetArgs(normalise(root, args))
	return a.finish(root.ExecuteContext(ctx))
}

const long = `sqllock-migrate creates sqllock's own tables and brings them up to date. With --source it migrates the
application's tables instead, and is then a drop-in for golang-migrate's command migrate: the same files, version table,
lock, verbs and flags (-database is as good as --database), so that switching is changing the command's name.

Any number of processes may migrate one database at once: one does, the others wait, say for whom, and then find nothing
to do. With --source that is by a lock of its own, whose kind --lock says, and all processes must agree on it:
  auto     session where two connections show that it works, else lease
  session  the server holds it for a connection: it is free at once when its holder dies, and needs no table
  lease    a row in sqllock's own tables, which are made if they are missing: it works everywhere (behind a pooler in
           transaction mode, on Galera, on SQLite), and is free --lock-ttl after its holder died
  none     golang-migrate's own lock alone, which waits for ever for a holder that hangs; on SQLite it has none
While it is held golang-migrate's lock is taken too, so that migrate waits; not with lease on PostgreSQL.

Database URLs:
  postgres://user:password@host:port/db?sslmode=verify-full    also postgresql://
  mysql://user:password@host:port/db?tls=true                  also mariadb://, and ...@tcp(host:port)/db
  sqlite:///abs/path.db, sqlite://rel/path.db                  also sqlite3://

Exit codes:
  0    done, or nothing to do
  1    failed: a migration was refused, a version isn't known, an answer was no
  2    the command line or a URL is wrong; nothing was tried
  3    the database is dirty, from an earlier run; nothing was changed
  4    the database can't be reached, or lets us not in; nothing was changed
  5    another process held the migration lock until the lock timeout; nothing was changed
  6    the migration lock was lost, so it stopped between two migrations; what was applied is recorded
  130  stopped between two migrations by SIGINT or SIGTERM; what was applied is recorded
(golang-migrate answers 1 for 3 to 6 and for a wrong URL, and 0 for 130.)

Ctrl-C stops after the migration that is under way; a second one kills.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "sqllock-migrate",
		Short:   "Migrate sqllock's tables, or with --source your own",
		Long:    long,
		Example: "  sqllock-migrate --database postgres://app@db/app up\n  sqllock-migrate -path db/migrations -database $URL up 2",
		Version: version(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("no command given")
			}
			why := fmt.Sprintf("there is no command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				why += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return usagef("%s", why)
		},
		RunE:          func(*cobra.Command, []string) error { return nil },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v", err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.database, "database", "", "database `URL`; else $SQLLOCK_DATABASE_URL")
	flags.StringVar(&a.source, "source", "", "migrate the application's own tables with the files in this `directory` (or file:// URL)")
	flags.StringVar(&a.path, "path", "", "the same as --source")
	flags.Var(&a.lockTimeout, "lock-timeout", "how long to wait for another process that migrates: `seconds`, or a duration like 2m")
	flags.Var(&a.lock, "lock", "how processes that migrate with --source exclude each other: auto, session, lease or none")
	flags.Var(&a.lockTTL, "lock-ttl", "how long the lock stays taken after its holder died; on SQLite longer than the longest migration takes: `seconds`, or a duration")
	flags.UintVar(&a.prefetch, "prefetch", 10, "accepted as golang-migrate has it; files are read as they are applied")
	flags.BoolVar(&a.verbose, "verbose", false, "say more")
	flags.BoolVar(&a.json, "json", false, "write the result to stdout as one JSON object, failures too")
	root.AddCommand(a.up(), a.down(), a.goTo(), a.version(), a.status(), a.force(), a.create(), a.drop(), a.unlock())
	return root
}

// version is the module's, as the Go toolchain has recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// say writes a line for people.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
}
