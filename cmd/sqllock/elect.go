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
	"github.com/sqllock/sqllock/sqllock/election"
)

// electFlags are the flags of elect.
type electFlags struct {
	observe, handOver bool
	to                string
	wait              cli.Duration
	limited           bool

	ttl, lockDelay cli.Duration
	note           string
	priority       int
	killAfter      cli.Duration
	shell          bool
	events         eventFormat
}

// term is a term of an election, as --observe prints it.
type term struct {
	Time   time.Time  `json:"time"` // when it was seen
	Leader string     `json:"leader,omitempty"`
	Note   string     `json:"note,omitempty"`
	Term   int64      `json:"term,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	Error  string     `json:"error,omitempty"` // why the leader is unknown
}

const electLong = `Run a command while this process leads an election, and again after each election that it wins. One
process leads at a time. When the command ends by itself, this process resigns and ends with the command's exit code.

If the lead is lost, the command is stopped as by run: SIGTERM, and SIGKILL before another process can lead. If the
leader is asked to hand over, the command gets SIGTERM, and SIGKILL after --kill-after, and this process campaigns
again. A signal is forwarded to the command; while another process leads, it ends this process.

The command's environment is that of run. SQLLOCK_FENCE is the number of the term, which grows from each leader to the
next.

  elect NAME --observe        print the leader and each change, as one JSON object a line, until a signal comes
  elect NAME --handover       ask the leader to hand over, and wait until it has
  elect NAME --handover --to HOLDER    to that candidate, and wait until it leads`

func (a *app) elect() *cobra.Command {
	f := &electFlags{killAfter: cli.Duration(defaultKillAfter)}
	cmd := &cobra.Command{
		Use:     "elect NAME [flags] -- COMMAND [ARG]...",
		Short:   "Run a command while this process leads an election",
		Long:    electLong,
		Example: "  sqllock elect scheduler -- ./scheduler\n  sqllock elect scheduler --observe",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.limited = cmd.Flag("wait").Changed
			command, err := f.parse(cmd, args)
			if err != nil {
				return err
			}
			a.toStderr, a.reporter().asJSON = command != nil, f.events.json
			ctx, stop := a.untilSignal()
			defer stop()
			db, err := a.connect(ctx, sqllock.Options{TTL: time.Duration(f.ttl)})
			if err != nil {
				return signalOr(ctx, err)
			}
			defer func() { _ = db.close(context.WithoutCancel(ctx)) }()
			e, err := election.New(db.locks, args[0], f.options()...)
			switch {
			case err != nil:
				return err
			case f.observe:
				return signalOr(ctx, a.observe(ctx, e))
			case f.handOver:
				return signalOr(ctx, a.handOver(ctx, e, f))
			}
			stop()
			return a.lead(db, e, f, command)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.observe, "observe", false, "print the leader and each change")
	flags.BoolVar(&f.handOver, "handover", false, "ask the leader to hand over")
	flags.StringVar(&f.to, "to", "", "with --handover: the `holder` that is to lead")
	flags.VarP(&f.wait, "wait", "w", "with --handover: how long to wait (default: for ever)")
	flags.Var(&f.ttl, "ttl", "how long nobody else leads after the death of this process (default 15s)")
	a.clockSkewFlag(flags)
	flags.Var(&f.lockDelay, "lock-delay", "how long nobody leads after the lease of a leader has ended")
	flags.StringVar(&f.note, "note", "", "a `text` for people who ask about the leader, such as a build number")
	flags.IntVar(&f.priority, "priority", 0, "leaders of a lower priority hand over to a candidate of a higher one")
	flags.Var(&f.killAfter, "kill-after", "when the lead is handed over: how long after SIGTERM the command gets "+
		"SIGKILL")
	flags.BoolVar(&f.shell, "shell", false, "run the command, a single argument, by /bin/sh -c")
	a.databaseWaitFlag(flags)
	flags.Var(&f.events, "events", "how to write what happens to stderr: text, or json for one object a line")
	return cmd
}

// parse returns the command, or nil with --observe and --handover.
func (f *electFlags) parse(cmd *cobra.Command, args []string) (command []string, err error) {
	dash := cmd.ArgsLenAtDash()
	names := args
	if dash >= 0 {
		names, command = args[:dash], args[dash:]
	}
	alone := f.observe || f.handOver
	switch {
	case len(names) != 1:
		return nil, cli.Usagef("elect needs the NAME of one election, and a -- before the command: sqllock elect " +
			"NAME -- COMMAND")
	case f.observe && f.handOver:
		return nil, cli.Usagef("--observe and --handover exclude each other")
	case alone && dash >= 0:
		return nil, cli.Usagef("--observe and --handover take no command")
	case !alone && len(command) == 0:
		return nil, cli.Usagef("elect needs a command after a --: sqllock elect NAME -- COMMAND")
	case !f.handOver && (f.to != "" || f.limited):
		return nil, cli.Usagef("--to and --wait need --handover")
	case f.shell && len(command) != 1:
		return nil, cli.Usagef("with --shell the command is a single argument, in quotes: it got %q", command)
	case f.shell:
		command = shell(command[0])
	}
	return command, nil
}

func (f *electFlags) options() []election.Option {
	opts := []election.Option{election.Priority(f.priority)}
	if f.note != "" {
		opts = append(opts, sqllock.WithNote(f.note))
	}
	if f.lockDelay > 0 {
		opts = append(opts, sqllock.LockDelay(time.Duration(f.lockDelay)))
	}
	return opts
}

// observe prints each leader.
func (a *app) observe(ctx context.Context, e *election.Election) error {
	for leader, err := range e.Observe(ctx) {
		t := term{Time: time.Now(), Leader: leader.Holder, Note: leader.Note, Term: leader.Term}
		if leader.Term != 0 {
			t.Since = &leader.Since
		}
		if err != nil {
			t.Error = bare(err)
		}
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.stdout, "%s\n", line)
	}
	return nil
}

// handOver asks the leader to hand over.
func (a *app) handOver(ctx context.Context, e *election.Election, f *electFlags) error {
	if f.limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(f.wait))
		defer cancel()
	}
	ask := e.HandOver
	if f.to != "" {
		ask = func(ctx context.Context) error { return e.HandOverTo(ctx, f.to) }
	}
	err := ask(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return &timeoutError{bare(err)}
	}
	return err
}

// lead campaigns and runs the command in each term.
func (a *app) lead(db *connection, e *election.Election, f *electFlags, command []string) error {
	a.document.Run = &ran{Names: []string{e.Name()}}
	ctx, leave := context.WithCancelCause(context.Background())
	defer leave(nil)
	l := &leader{a: a, db: db, e: e, f: f, command: command, leave: leave}
	l.stopSignals = a.onSignal(leave)
	err := e.Run(ctx, l.term)
	l.stopSignals()
	if l.finished {
		return l.own
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// leader runs a command in the terms of an election.
type leader struct {
	a       *app
	db      *connection
	e       *election.Election
	f       *electFlags
	command []string

	leave       context.CancelCauseFunc
	stopSignals func() // signals end the campaign until it is called

	finished bool  // the command ended by itself
	own      error // with this
}

// term runs the command in one term.
func (l *leader) term(ctx context.Context, t *election.Term) error {
	l.stopSignals() // they are the command's now
	defer func() { l.stopSignals = l.a.onSignal(l.leave) }()
	l.a.document.Run.Fences = append(l.a.document.Run.Fences, t.Number())
	l.a.reporter().emit(notable, event{
		Event: "leads", Name: l.e.Name(), Fence: t.Number(),
		Message: fmt.Sprintf("leads %q, in term %d", l.e.Name(), t.Number()),
	})
	held := &holding{
		names: []string{l.e.Name()}, fences: []int64{t.Number()}, ttl: orDefault(l.f.ttl), ctx: t.Context(),
		remaining: t.Remaining,
	}
	held.claims = claimsOf(ctx, l.db, held)
	broken, end := held.watched(l.db)
	defer end(nil)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(broken, func() { stop(context.Cause(broken)) })()
	return l.run(ctx, held)
}

// run runs the command until it has ended, or until ctx ends with the term.
func (l *leader) run(ctx context.Context, held *holding) error {
	s := &supervisor{
		a: l.a, args: l.command, env: held.environment(os.Environ()), held: ctx, trusted: held.trusted,
		remaining: held.remaining, graceFor: func(cause error) time.Duration {
			if errors.Is(cause, election.ErrHandOver) {
				return time.Duration(l.f.killAfter)
			}
			return held.graceFor(cause)
		},
	}
	end, err := s.run()
	if err != nil {
		l.finished, l.own = true, err
		return err
	}
	l.a.document.Run.ended(end)
	switch {
	case end.stopped == nil:
		l.finished, l.own = true, verdict(end, 0)
		return l.own
	case end.asked != nil:
		l.leave(&signalError{end.asked})
	}
	l.a.reporter().emit(notable, event{Event: "follows", Name: l.e.Name(), Message: fmt.Sprintf(
		"no longer leads %q: %s", l.e.Name(), bare(end.stopped))})
	return nil
}
