package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/migrations/lock"
)

// app is one invocation of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	env         string
	named       cli.Database
	database    string // its URL
	source      string
	path        string
	lockTimeout lockTimeout
	lock        lockKind
	lockTTL     lockTTL
	stopTimeout lockTimeout
	prefetch    uint
	verbose     bool
	json        bool

	allowMissing bool // for up and goto

	waitedFor []string
	result    result
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{
		stdin: stdin, stdout: stdout, stderr: stderr,
		lockTimeout: lockTimeout(defaultLockTimeout), lock: lockKind{lock.Auto},
		lockTTL:     lockTTL{lockTimeout(lock.DefaultTTL)},
		stopTimeout: lockTimeout(migrations.DefaultStopTimeout),
	}
	defer context.AfterFunc(ctx, func() {
		a.say("stopping after the migration that is under way, which is cancelled after %v; a second signal kills "+
			"it at once",
			time.Duration(a.stopTimeout))
	})()
	root := a.root()
	root.SetArgs(normalise(root, args))
	return a.finish(root.ExecuteContext(ctx))
}

const long = `sqllock-migrate migrates the application's tables, with the files in --source. It is a drop-in replacement
for golang-migrate's command migrate: it has the same files, version table, lock, verbs and flags (-database works as
well as --database), so that switching only means changing the command's name. sqllock-migrate own creates sqllock's own
tables and brings them up to date.

Any number of processes may migrate one database at once: one of them migrates, the others wait, say which process they
wait for, and then find nothing to do. A lock ensures that. --lock is its kind, on which all processes must agree:
  auto     session if two connections show that it works, otherwise lease
  session  the server holds it for a connection: it is free at once when its holder dies, and needs no table
  lease    a row in sqllock's own tables, which are created if they are missing: it works everywhere (behind a pooler
           in transaction mode, on Galera, on SQLite), and is free --lock-ttl after its holder died
  none     golang-migrate's own lock alone; on SQLite there is none
While the lock is held, golang-migrate's lock is taken too, so that migrate waits; not with lease on PostgreSQL.

Database URLs:
  postgres://user:password@host:port/db?sslmode=verify-full    also postgresql://
  mysql://user:password@host:port/db?tls=true                  also mariadb://, and ...@tcp(host:port)/db
  sqlserver://user:password@host:port?database=db              also mssql://
  sqlite:///abs/path.db, sqlite://rel/path.db                  also sqlite3://
golang-migrate's own parameters (x-migrations-table and the like) are honored, or refused by name.
The URL comes from --database, SQLLOCK_DATABASE_URL, or the file that SQLLOCK_DATABASE_URL_FILE names. A password is
never shown.

Every flag has an environment variable, which --help names. The command line takes precedence over the environment, and
the environment over the file .env, or the file that --env names.

Exit codes:
  0    done, or nothing to do
  1    failed: a migration was refused, a version isn't known, an answer was no
  2    the command line or a URL is wrong; nothing was tried
  3    the database is dirty, from an earlier run; nothing was changed
  4    the database can't be reached, refuses the login, or doesn't respond in time; nothing was changed
  5    another process held the migration lock until the lock timeout; nothing was changed
  6    the migration lock was lost, so the run stopped between two migrations; what was applied is recorded
  7    status --exit-code: a migration is pending, late or edited
  130  stopped by SIGINT or SIGTERM; what was applied is recorded, and the message says what happened to a migration
       that was cut off
(golang-migrate exits with 1 in the cases 3 to 6 and for a wrong URL, and with 0 in the case 130.)

Ctrl-C or SIGTERM stops the run: the migration under way may continue for --stop-timeout, and is then cancelled in the
database, and undone if possible. The command ends five seconds after that at the latest. A second signal kills it.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sqllock-migrate",
		Short: "Migrate your application's tables under a lock, and sqllock's own tables",
		Long:  long,
		Example: "  sqllock-migrate -path db/migrations -database $URL up 2\n  sqllock-migrate own up " +
			"--database postgres://app@db/app",
		Version:       cli.Version(),
		Args:          cli.UnknownCommand,
		RunE:          func(*cobra.Command, []string) error { return nil },
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.environment(cmd) },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usagef("%v", err) })
	flags := root.PersistentFlags()
	a.named.Flags(flags)
	flags.StringVar(&a.source, "source", "", "the application's migrations: a `directory` (or file:// URL)")
	flags.StringVar(&a.path, "path", "", "the same as --source")
	flags.Var(&a.lockTimeout, "lock-timeout",
		"how long to wait for another process that migrates: `seconds`, or a duration like 2m")
	flags.Var(&a.lock, "lock",
		"how processes that migrate the application's tables exclude each other: auto, session, lease or none")
	flags.Var(&a.lockTTL, "lock-ttl", "how long the lock stays taken after its holder died; on SQLite it must be "+
		"longer than the longest migration: `seconds`, or a duration")
	flags.Var(&a.stopTimeout, "stop-timeout",
		"how long the migration under way may continue after Ctrl-C or SIGTERM: `seconds`, or a duration")
	flags.UintVar(&a.prefetch, "prefetch", 10, "accepted for golang-migrate's sake, without effect")
	flags.StringVar(&a.env, "env", "", "read variables that the environment doesn't set from this `file` (default "+
		".env, if it exists); none: read no file")
	flags.BoolVar(&a.verbose, "verbose", false, "say more")
	flags.BoolVar(&a.json, "json", false, "write the result, or the failure, to stdout as one JSON object")
	root.AddCommand(a.up(), a.down(), a.goTo(), a.version(), a.status(), a.force(), a.create(), a.drop(), a.unlock(),
		a.redo(), a.repair(), a.validate(), a.own(), a.schema())
	cli.NameVariables(root)
	return root
}

// say writes a line for people to stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
}
