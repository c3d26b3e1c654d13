package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/once"
)

const defaultKillAfter = 10 * time.Second

// runFlags are the flags of run.
type runFlags struct {
	shared, writer, all, session bool
	permits                      int
	once, at                     string
	rememberFailure              bool

	try, fair                   bool
	wait                        cli.Duration
	limited                     bool // whether wait is given
	ttl, holdAtLeast, lockDelay cli.Duration
	keep                        cli.Duration
	note                        string
	notAcquired                 int

	shell     bool
	timeout   cli.Duration
	killAfter cli.Duration
	events    eventFormat
}

const runLong = `Run a command while a lock is held, and release the lock when the command has ended. The lock is held
in a lease: if this process dies, the lock is free after --ttl.

Kinds of locks. Each has names of its own: a run with --writer does not wait for one without.
  (none)           exclusive: one holder at a time, as Client.Acquire in Go
  --writer         alone; and --shared: together with other --shared, as RWLock in Go
  -n N             one of N permits, as Semaphore in Go
  --all A B C      the locks of all these names, or none
  --session        the server holds it for a connection; it needs no tables, and is free at once if this process dies
With --once KEY the command runs only if it has never succeeded with that key. With --at TIME it succeeds once for
that occurrence of the schedule, whichever host begins first, for instance in a cron job on several hosts. Both run
the command under the lock NAME too, and end with 0 if there is nothing to do.

The command runs in a process group of its own, with this process's standard input and output, and gets the terminal
if this process has it. It is never run by a shell, unless --shell is given. Every signal is forwarded to its process
group. While the lock is waited for, a signal ends the wait and leaves the queue.

If the lock is lost, because the database has not answered for nearly a whole TTL or because somebody has broken the
lock, the process group gets SIGTERM. It gets SIGKILL early enough to be gone before another process can have the
lock: a tenth of the TTL later, but at most a second. If the lease has ended already, both are sent at once. What has
left the process group (setsid) is not reached.

If this process is killed by SIGKILL, Linux kills the command itself, but not what that has started; elsewhere the
command goes on. The lock is free after --ttl, so let such a command check the fence where it writes: its environment
has SQLLOCK_NAME, SQLLOCK_FENCE, SQLLOCK_OWNER and SQLLOCK_SLOT, and ` + "`sqllock guard-sql`" + ` prints the
statement.

Exit codes: those of ` + "`sqllock --help`" + `; the command's own if it ran to its end.`

const runExample = `  sqllock run migrate -- alembic upgrade head
  sqllock run report --try -E 0 -- ./report.sh
  sqllock run import --shell -- 'zcat *.gz | ./import'
  sqllock run partner -n 3 -w 30s -- ./sync
  sqllock run payout --at 2026-12-01T03:00:00Z -- ./payout`

func (a *app) runCommand() *cobra.Command {
	f := &runFlags{notAcquired: exitNotAcquired, killAfter: cli.Duration(defaultKillAfter)}
	cmd := &cobra.Command{
		Use:     "run NAME [flags] -- COMMAND [ARG]...",
		Short:   "Run a command while a lock is held",
		Long:    runLong,
		Example: runExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.toStderr, a.reporter().asJSON, a.reporter().session = true, f.events.json, f.session
			f.limited = cmd.Flag("wait").Changed
			names, command, err := f.parse(cmd, args)
			if err != nil {
				return err
			}
			return f.exitCode(a.runUnderLock(f, names, command))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.shared, "shared", false, "take the lock together with others that take it --shared")
	flags.BoolVar(&f.writer, "writer", false, "take the lock that others take --shared, alone")
	flags.IntVarP(&f.permits, "permits", "n", 0, "take one of `N` permits")
	flags.BoolVar(&f.all, "all", false, "take the locks of several names, all or none")
	flags.BoolVar(&f.session, "session", false, "take a lock that the server holds for a connection")
	flags.StringVar(&f.once, "once", "", "do nothing if the command has succeeded with this `KEY` before")
	flags.StringVar(&f.at, "at", "", "do nothing if the command has succeeded for this `TIME` of a schedule before "+
		"(2026-12-01T03:00:00Z)")
	flags.Var(&f.keep, "keep", "how long --once and --at remember (default 24h)")
	flags.BoolVar(&f.rememberFailure, "remember-failure", false, "with --once: also remember a failure, and exit with "+
		"its code the next time")
	flags.BoolVar(&f.try, "try", false, "don't wait for the lock")
	flags.VarP(&f.wait, "wait", "w", "how long to wait for the lock (default: for ever)")
	flags.BoolVar(&f.fair, "fair", false, "first come, first served: let all callers use it")
	flags.Var(&f.ttl, "ttl", "how long the lock stays taken after the death of this process (default 15s)")
	a.clockSkewFlag(flags)
	flags.Var(&f.holdAtLeast, "hold-at-least", "keep others from the lock for so long, even if the command ends "+
		"earlier")
	flags.Var(&f.lockDelay, "lock-delay", "keep others from the lock for so long after its lease has ended")
	flags.StringVar(&f.note, "note", "", "a `text` for people who ask about the lock, such as a build number")
	flags.IntVarP(&f.notAcquired, "not-acquired-exit", "E", exitNotAcquired,
		"the exit `CODE` if the lock was not acquired")
	flags.BoolVar(&f.shell, "shell", false, "run the command, a single argument, by /bin/sh -c")
	flags.Var(&f.timeout, "timeout", "stop the command after so long (default: never)")
	flags.Var(&f.killAfter, "kill-after", "with --timeout: how long after SIGTERM the command gets SIGKILL")
	a.databaseWaitFlag(flags)
	flags.Var(&f.events, "events", "how to write what happens to stderr: text, or json for one object a line")
	return cmd
}

// parse returns the names and the command. It returns an error if the flags don't go together.
func (f *runFlags) parse(cmd *cobra.Command, args []string) (names, command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 {
		return nil, nil, cli.Usagef("run needs a -- before the command: sqllock run NAME -- COMMAND")
	}
	names, command = args[:dash], args[dash:]
	switch {
	case len(names) == 0:
		return nil, nil, cli.Usagef("run needs the NAME of the lock: sqllock run NAME -- COMMAND")
	case len(names) > 1 && !f.all:
		return nil, nil, cli.Usagef("run got %q: several names need --all, and the command comes after a --", names)
	case len(command) == 0:
		return nil, nil, cli.Usagef("run needs a command after the --")
	case f.shell && len(command) != 1:
		return nil, nil, cli.Usagef("with --shell the command is a single argument, in quotes: it got %q", command)
	}
	if f.shell {
		command = shell(command[0])
	}
	for _, name := range names {
		if err := sqllock.CheckName(name); err != nil {
			return nil, nil, err
		}
	}
	return names, command, f.check()
}

// check returns an error if flags don't go together.
func (f *runFlags) check() error {
	kinds := 0
	for _, given := range []bool{f.shared, f.writer, f.all, f.session, f.permits != 0} {
		if given {
			kinds++
		}
	}
	refuse := func(given bool, flag, with string) error {
		if given {
			return cli.Usagef("--%s doesn't go with --%s", flag, with)
		}
		return nil
	}
	err := errors.Join(
		refuse(f.try && f.limited && f.wait > 0, "try", "wait"),
		refuse(f.once != "" && f.at != "", "once", "at"),
		refuse(f.session && f.fair, "fair", "session"),
		refuse(f.session && f.note != "", "note", "session"),
		refuse(f.session && (f.once != "" || f.at != ""), "session", "once or --at"),
		refuse(f.holdAtLeast > 0 && (f.shared || f.session || f.all), "hold-at-least", "shared, --all and --session"),
		refuse(f.lockDelay > 0 && (f.shared || f.session), "lock-delay", "shared and --session"),
	)
	switch {
	case kinds > 1:
		return cli.Usagef("--shared, --writer, -n, --all and --session exclude each other")
	case f.permits < 0:
		return cli.Usagef("-n %d: want 1 or more", f.permits)
	case f.notAcquired < 0 || f.notAcquired > 255:
		return cli.Usagef("-E %d: want an exit code, from 0 to 255", f.notAcquired)
	case f.rememberFailure && f.once == "":
		return cli.Usagef("--remember-failure needs --once")
	case f.keep > 0 && f.once == "" && f.at == "":
		return cli.Usagef("--keep needs --once or --at")
	case err != nil:
		return err
	}
	_, err = f.occurrence()
	return err
}

// occurrence returns the time of --at, or the zero time.
func (f *runFlags) occurrence() (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, f.at)
	if err != nil {
		return at, cli.Usagef("--at %q: want a time with its zone, like 2026-12-01T03:00:00Z: the one that the "+
			"schedule says, the same on every host", f.at)
	}
	return at, nil
}

// exitCode applies -E.
func (f *runFlags) exitCode(err error) error {
	if err == nil || f.notAcquired == exitNotAcquired {
		return err
	}
	if why := explain(err); why.Exit == exitNotAcquired {
		return &childError{kind: why.Kind, status: f.notAcquired, text: why.Message}
	}
	return err
}

// runUnderLock waits for the lock and runs the command.
func (a *app) runUnderLock(f *runFlags, names, command []string) (err error) {
	a.document.Run = &ran{Names: names}
	ctx, stop := a.untilSignal()
	defer stop()
	opts := sqllock.Options{TTL: time.Duration(f.ttl), WithoutTables: f.session}
	if f.session {
		opts.KeepAlive, opts.TTL = opts.TTL, 0
	}
	db, err := a.connect(ctx, opts)
	if err != nil {
		return signalOr(ctx, err)
	}
	// Whatever happens, close releases the lock, or leaves the queue.
	defer func() {
		if left := db.close(context.WithoutCancel(ctx)); left != nil && err == nil {
			a.reporter().emit(problem, event{Event: "log", Message: left.Error()})
		}
	}()
	begun := time.Now()
	held, err := a.take(ctx, db, f, names)
	if err != nil {
		return signalOr(ctx, err)
	}
	stop()
	a.acquired(held, time.Since(begun))
	defer func() { err = a.released(held, err) }()
	return a.runOnce(db, f, held, command)
}

// signalOr returns the signal that has ended ctx, if it is what the error comes from.
func signalOr(ctx context.Context, err error) error {
	if s := new(signalError); err != nil && errors.As(context.Cause(ctx), &s) {
		return s
	}
	return err
}

// runOnce runs the command, unless --once or --at says that there is nothing to do.
func (a *app) runOnce(db *connection, f *runFlags, held *holding, command []string) error {
	ctx, end := held.watched(db)
	defer end(nil)
	opts := []once.Option{once.TTL(held.ttl)}
	if f.keep > 0 {
		opts = append(opts, once.Keep(time.Duration(f.keep)))
	}
	switch {
	case f.once != "":
		out, err := once.Do(ctx, db.locks, f.once, func(ctx context.Context, _ *sqllock.Lock) ([]byte, error) {
			err := a.runChild(ctx, f, held, command)
			return remember(f, err)
		}, opts...)
		return a.outcome(f, out, err)
	case f.at != "":
		at, err := f.occurrence()
		if err != nil {
			return err
		}
		work := func(ctx context.Context, _ *sqllock.Lock) error { return a.runChild(ctx, f, held, command) }
		ran, err := once.RunOccurrence(ctx, db.locks, held.names[0], at, work, opts...)
		if !ran && err == nil {
			a.skip(fmt.Sprintf("nothing to do: the run of %s has succeeded before", at.Format(time.RFC3339)))
		}
		return ownError(err)
	}
	return a.runChild(ctx, f, held, command)
}

// rememberedExit is what --once remembers of a command.
type rememberedExit struct {
	Exit int `json:"exit"`
}

// remember returns the outcome that --once remembers: a success, and with --remember-failure also
// an exit code.
func remember(f *runFlags, err error) ([]byte, error) {
	exit := rememberedExit{}
	if own := new(childError); errors.As(err, &own) && own.kind == kindChild && f.rememberFailure {
		exit.Exit = own.status
	} else if err != nil {
		return nil, err
	}
	return json.Marshal(exit)
}

// outcome returns the error for the outcome of --once.
func (a *app) outcome(f *runFlags, out once.Outcome, err error) error {
	if err != nil {
		return ownError(err)
	}
	var exit rememberedExit
	if err := json.Unmarshal(out.Result, &exit); err != nil {
		return fmt.Errorf("the outcome of the key %q isn't one of `sqllock run`: choose another key for --once", f.once)
	}
	if out.Replayed {
		a.skip(fmt.Sprintf("nothing to do: the command ended with exit code %d for the key %q at %s", exit.Exit, f.once,
			out.At.UTC().Format(time.RFC3339)))
	}
	if exit.Exit != 0 {
		return &childError{kind: kindChild, status: exit.Exit, text: fmt.Sprintf("exit code %d", exit.Exit), told: true}
	}
	return nil
}

func (a *app) skip(text string) {
	a.document.Run.Skipped = true
	a.reporter().emit(notable, event{Event: "skipped", Message: text})
}

// ownError returns the child's own end, if that is what the error is about, without what others
// have added to it.
func ownError(err error) error {
	if own := new(childError); errors.As(err, &own) && own.kind == kindChild {
		return own
	}
	return err
}

// runChild runs the command until it has ended, or until ctx ends with the lock.
func (a *app) runChild(ctx context.Context, f *runFlags, held *holding, command []string) error {
	s := &supervisor{
		a: a, args: command, env: held.environment(os.Environ()),
		timeout: time.Duration(f.timeout), grace: time.Duration(f.killAfter),
		held: ctx, trusted: held.trusted, remaining: held.remaining, graceFor: held.graceFor,
	}
	end, err := s.run()
	if err != nil {
		return err
	}
	a.document.Run.ended(end)
	return verdict(end, time.Duration(f.timeout))
}
