package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/cmd/sqllock/internal/child"
	"github.com/sqllock/sqllock/internal/cli"
)

// app is one invocation of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        chan os.Signal

	database       cli.Database
	env            string
	databaseWait   cli.Duration // how long to wait for a database that isn't up yet
	clockSkew      cli.Duration
	identity       string
	json           bool
	quiet, verbose bool

	document document
	toStderr bool // the document goes to stderr, since stdout is the child's
	report   *reporter
}

// run executes a command line and returns the exit code.
func run(args []string, signals chan os.Signal, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, signals: signals}
	root := a.root()
	root.SetArgs(args)
	return a.finish(root.Execute())
}

const long = `sqllock takes locks in the database that your application already runs (PostgreSQL, MySQL, MariaDB, SQL
Server or SQLite), for scripts and for the person on call. Its tables are made by ` + "`sqllock-migrate own up`" + `.

  sqllock run migrate -- alembic upgrade head    one process at a time runs the command, the others wait
  sqllock ls                                     who holds what
  sqllock show migrate                           who holds it, who waits for it
  sqllock break migrate                          take it away from its holder, after asking

Database URLs:
  postgres://user:password@host:port/db?sslmode=verify-full    also postgresql://
  mysql://user:password@host:port/db?tls=true                  also mariadb://, and ...@tcp(host:port)/db
  sqlserver://user:password@host:port?database=db              also mssql://
  sqlite:///abs/path.db, sqlite://rel/path.db                  also sqlite3://
The URL comes from --database, SQLLOCK_DATABASE_URL, or the file that SQLLOCK_DATABASE_URL_FILE names. A password is
never shown.

Every flag has an environment variable, which --help names. The command line takes precedence over the environment,
and the environment over the file .env, or the file that --env names.

Exit codes:
  0    done
  1    an answer was no: the lock wasn't broken, doctor found something bad, ls --fail-if-any found a lock
  64   the command line or a URL is wrong; nothing was tried
  69   the database can't be reached, refuses the request, or can't do what was asked
  75   the lock was not acquired, because another holds it (run -E CODE changes this code); wait: not in time
  76   the lock was lost and the child was stopped
  78   sqllock's tables are missing, or of another version
  124  the child was stopped because it ran for longer than --timeout
  126  the child can't be run
  127  there is no such program
  128+n  a signal n ended the command while it waited
In all other cases run and elect exit with the child's own code, or 128+n if signal n killed it.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "sqllock",
		Short:         "Take, show and break locks in your database",
		Long:          long,
		Version:       cli.Version(),
		Args:          cli.UnknownCommand,
		RunE:          func(*cobra.Command, []string) error { return nil },
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRunE: a.prepare,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usagef("%v", err) })
	flags := root.PersistentFlags()
	a.database.Flags(flags)
	flags.StringVar(&a.identity, "identity", "", "the `name` of this process for people who ask who holds a lock "+
		"(default sqllock@host[pid])")
	flags.StringVar(&a.env, "env", "", "read variables that the environment doesn't set from this `file` (default "+
		".env, if it exists); none: read no file")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "write nothing but errors to stderr")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "say more")
	flags.BoolVar(&a.json, "json", false, "write the result, or the failure, as one JSON document")
	root.AddCommand(a.runCommand(), a.ls(), a.show(), a.breakCommand(), a.waitCommand(), a.elect(),
		a.doctor(), a.bench(), a.grants(), a.guardSQL(), a.serve(), a.top())
	cli.NameVariables(root)
	return root
}

// prepare sets the flags from the environment.
func (a *app) prepare(cmd *cobra.Command, _ []string) error {
	a.document.Command = cli.CommandName(cmd)
	if err := a.database.Check(cmd); err != nil {
		return err
	}
	err := cli.Environment{File: a.env, Say: a.say, Skip: a.database.Skip}.Apply(cmd)
	if err == nil && a.quiet && a.verbose {
		err = cli.Usagef("--quiet and --verbose exclude each other")
	}
	return err
}

// signalError is the signal that ended the command.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return fmt.Sprintf("ended by signal: %v", e.signal) }

// status returns the exit code that a shell reports.
func (e *signalError) status() int {
	if s, ok := e.signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 1
}

// untilSignal returns a ctx that ends with a [*signalError] when a signal asks this process to end.
// stop ends that: from then on signals stay in a.signals.
func (a *app) untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return ctx, a.onSignal(cancel)
}

// onSignal calls cancel with a [*signalError] when a signal asks this process to end, until stop is
// called.
func (a *app) onSignal(cancel context.CancelCauseFunc) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case s := <-a.signals:
				switch {
				case child.Suspends(s):
					child.Suspend()
				case child.Ends(s):
					cancel(&signalError{s})
				}
			case <-stopped:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stopped)
		<-ended
	})
}

// say writes a line for people to stderr.
func (a *app) say(format string, args ...any) {
	if !a.quiet && !a.json {
		_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}
