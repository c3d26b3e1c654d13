package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// The pauses between two looks at a lock.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = time.Second
)

// waitFlags are the flags of wait.
type waitFlags struct {
	free, held, leader bool
	wait               cli.Duration
	limited            bool
}

const waitLong = `Wait until a lock is free or held, or until an election has a leader: for entry points, init
containers and deploy hooks. Only one of --free, --held and --leader can be given. All kinds of locks of that name
count, except session locks. A lock whose holder is dead is free. What is free may be taken a moment later: to work
under a lock, use run.

While the database can't be reached, wait goes on. Exit code 75 means that --wait is over.`

func (a *app) waitCommand() *cobra.Command {
	f := &waitFlags{}
	cmd := &cobra.Command{
		Use:     "wait NAME --free|--held|--leader",
		Short:   "Wait until a lock is free or held, or an election has a leader",
		Long:    waitLong,
		Example: "  sqllock wait migrate --free -w 5m\n  sqllock wait scheduler --leader",
		Args:    cli.Arguments(1, 1, "the NAME of the lock"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.limited = cmd.Flag("wait").Changed
			chosen := 0
			for _, given := range []bool{f.free, f.held, f.leader} {
				if given {
					chosen++
				}
			}
			if chosen != 1 {
				return cli.Usagef("wait needs one of --free, --held and --leader")
			}
			if err := sqllock.CheckName(args[0]); err != nil {
				return err
			}
			return a.whileReading(func(ctx context.Context, db *connection) error {
				return a.waitUntil(ctx, db, f, args[0])
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.free, "free", false, "until nobody holds it")
	flags.BoolVar(&f.held, "held", false, "until somebody holds it")
	flags.BoolVar(&f.leader, "leader", false, "until the election of that name has a leader")
	flags.VarP(&f.wait, "wait", "w", "how long to wait (default: for ever)")
	return cmd
}

// waitUntil looks at the lock until it is as wanted.
func (a *app) waitUntil(ctx context.Context, db *connection, f *waitFlags, name string) error {
	limit := ctx
	if f.limited {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, time.Duration(f.wait))
		defer cancel()
	}
	said := ""
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		infos, err := db.locks.Holders(ctx, name)
		if err != nil && (errors.Is(err, sqllock.ErrSchema) || errors.Is(err, sqllock.ErrInvalid) || ctx.Err() != nil) {
			return err
		}
		now := f.state(infos, err)
		if err == nil && now == "" {
			a.document.Lock = &inspect.Details{Name: name, Holders: inspect.OfAll(infos), Queue: []inspect.Waiter{}}
			return nil
		}
		if now != said {
			a.reporter().emit(notable, event{Event: "waiting", Name: name, Message: "waiting: " + now})
			said = now
		}
		select {
		case <-time.After(pause):
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &timeoutError{fmt.Sprintf("waited for %v in vain: %s", time.Duration(f.wait), now)}
		}
	}
}

// state says why the wait isn't over, or returns "".
func (f *waitFlags) state(infos []sqllock.Info, err error) string {
	if err != nil {
		return fmt.Sprintf("the database can't be read: %v", err)
	}
	for _, info := range infos {
		alive := info.State == sqllock.StateHeld
		leads := info.Kind == sqllock.KindElection
		switch {
		case alive && f.free:
			return fmt.Sprintf("%q is held by %s, since %s", clean(info.Name), inspect.Of(info).HolderText(),
				info.Since.UTC().Format(time.RFC3339))
		case alive && (f.held || f.leader && leads):
			return ""
		}
	}
	switch {
	case f.free:
		return ""
	case f.leader:
		return "nobody leads"
	}
	return "nobody holds it"
}
