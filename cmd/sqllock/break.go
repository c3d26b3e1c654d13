package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// breakFlags are the flags of break.
type breakFlags struct {
	fence                int64
	alive, force, dryRun bool
	reason               string
	wait                 cli.Duration
}

// broken is what break has done, for --json.
type broken struct {
	Lock    inspect.Lock `json:"lock"` // as it was
	By      string       `json:"by"`
	Reason  string       `json:"reason,omitempty"`
	DryRun  bool         `json:"dry_run,omitempty"`
	Noticed *bool        `json:"noticed,omitempty"` // with --wait: whether the holder's lease is over
}

const breakLong = `Take a lock away from its holder. break shows the holder first. If it is alive, which its last
heartbeat tells, end its process instead, or give --alive too: what the holder does under the lock goes on until it
notices. A sqllock run notices within a third of its TTL and stops its command. A program notices at its next Guard or
Release.

break then asks for the lock's name. A script gives --force and the --fence that it has seen, so that it breaks that
acquisition and no later one. The lock of a dead holder is free by itself when its lease has run out.

The database records the break: when, by which user and process, whose lock it was, and the --reason. show prints that
for 90 days.

--wait waits until the lease of the holder is over too, so that nothing of that process can count any more. That is so
when the process has ended, or has closed its Client. Exit code 75 means that it was not so in time; the lock is
broken all the same.`

func (a *app) breakCommand() *cobra.Command {
	f := &breakFlags{}
	cmd := &cobra.Command{
		Use:   "break NAME",
		Short: "Take a lock away from its holder",
		Long:  breakLong,
		Example: "  sqllock break migrate\n  sqllock break migrate --alive --reason 'host is gone'\n  sqllock " +
			"break migrate --force --fence 1796055766842000",
		Args: cli.Arguments(1, 1, "the NAME of the lock"),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case f.force && f.fence == 0:
				return cli.Usagef("--force needs --fence, so that only the acquisition that you have seen is broken: " +
					"`sqllock show NAME` says which one that is")
			case strings.ContainsFunc(f.reason, unicode.IsControl):
				return cli.Usagef("--reason must be one line, without control characters")
			case len(f.reason) > sqllock.MaxReasonBytes:
				return cli.Usagef("--reason has %d bytes; at most %d can be recorded", len(f.reason),
					sqllock.MaxReasonBytes)
			}
			f.reason = strings.TrimSpace(f.reason)
			ctx, stop := a.untilSignal()
			defer stop()
			db, err := a.reading(ctx) // the break names the acquisition that was seen, however old the reading is
			if err != nil {
				return signalOr(ctx, err)
			}
			defer func() { _ = db.close(context.WithoutCancel(ctx)) }()
			return signalOr(ctx, a.breakLock(ctx, db, f, args[0]))
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&f.fence, "fence", 0, "the `fence` that was seen: break that acquisition and no other")
	flags.BoolVar(&f.alive, "alive", false, "break it although its holder is alive")
	flags.BoolVar(&f.force, "force", false, "don't ask; needs --fence")
	flags.StringVar(&f.reason, "reason", "", "why, for the record that show prints: one line of `text`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say what would be done")
	flags.Var(&f.wait, "wait", "wait for so long until the holder's lease is over too")
	return cmd
}

// breakLock shows the holder, asks, and breaks the lock.
func (a *app) breakLock(ctx context.Context, db *connection, f *breakFlags, name string) error {
	found, err := inspect.Show(ctx, db.locks, name)
	if err != nil {
		return err
	}
	a.document.Lock = found
	a.say("%s", details(found))
	target, err := f.target(found)
	if err != nil {
		return err
	}
	a.document.Broken = &broken{Lock: target, By: cli.Operator(), Reason: f.reason, DryRun: f.dryRun}
	if f.dryRun {
		a.print("would break %q, held by %s with fence %d", clean(name), target.HolderText(), target.Fence)
		return nil
	}
	if err := a.confirm(ctx, f, name); err != nil {
		return err
	}
	lease := ""
	if f.wait != 0 {
		if lease, err = db.leaseOf(ctx, target); err != nil {
			return err
		}
	}
	_, err = db.locks.Break(ctx, name, target.Fence, sqllock.BrokenBy(cli.Operator()), sqllock.WithReason(f.reason))
	if err != nil {
		if errors.Is(err, sqllock.ErrNotHeld) {
			err = &noError{fmt.Sprintf("%q changed hands meanwhile: nothing was broken; look again", clean(name))}
		}
		return err
	}
	done := fmt.Sprintf("broke %q, held by %s with fence %d, by %s", clean(name), target.HolderText(), target.Fence,
		cli.Operator())
	if f.reason != "" {
		done += ": " + f.reason
	}
	a.print("%s", done)
	return a.awaitEnd(ctx, db, f, target, lease)
}

// target returns the acquisition to break.
func (f *breakFlags) target(found *inspect.Details) (inspect.Lock, error) {
	if len(found.Holders) == 0 {
		return inspect.Lock{}, &noError{fmt.Sprintf("there is nothing to break: nobody holds %q", clean(found.Name))}
	}
	target, seen := inspect.ByFence(found.Holders, f.fence)
	switch {
	case f.fence == 0 && len(found.Holders) > 1:
		return target, cli.Usagef("%q has %d holders: say with --fence which one", clean(found.Name),
			len(found.Holders))
	case f.fence == 0:
		target = found.Holders[0]
	case !seen:
		return target, &noError{fmt.Sprintf("nothing was broken: nobody holds %q with fence %d any more",
			clean(found.Name), f.fence)}
	}
	if target.Alive() && !f.alive {
		return target, &noError{fmt.Sprintf("nothing was broken: the holder %s, which renewed its lease %s ago, "+
			"is alive as far as the database knows: end that process, or break the lock nevertheless with --alive",
			target.HolderText(), short(target.Heartbeat()))}
	}
	return target, nil
}

// confirm asks for the lock's name, unless --force is given.
func (a *app) confirm(ctx context.Context, f *breakFlags, name string) error {
	if f.force {
		return nil
	}
	_, _ = fmt.Fprintf(a.stderr, "Type the lock's name to break it: ")
	answer, err := cli.ReadAnswer(ctx, a.stdin)
	switch {
	case err != nil:
		return err
	case answer != name:
		return &noError{"nothing was broken: the answer was not the lock's name"}
	}
	return nil
}

// awaitEnd waits until the holder's lease is over. lease is its id, or "" if it is known to be
// over.
func (a *app) awaitEnd(
	ctx context.Context, db *connection, f *breakFlags, target inspect.Lock, lease string,
) error {
	if f.wait == 0 {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(f.wait))
	defer cancel()
	over := lease == ""
	a.document.Broken.Noticed = &over
	for !over {
		ends, err := db.Dialect.ExpireLeases(ctx, []string{lease})
		if err != nil && db.Dialect.Classify(err) == dialect.ClassPermanent {
			return fmt.Errorf("the lock is broken, but whether the lease of %s is over can't be found out: %w",
				target.HolderText(), err)
		}
		over = err == nil && ends[0].Dead
		select {
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !over {
				return &timeoutError{fmt.Sprintf("the lock is broken, but after %v the lease of %s is still alive: "+
					"that process may hold other locks, or may not have noticed yet",
					time.Duration(f.wait), target.HolderText())}
			}
		case <-time.After(firstLook):
		}
	}
	a.print("the lease of %s is over", target.HolderText())
	return nil
}
