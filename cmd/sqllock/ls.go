package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

const (
	defaultStuck    = time.Minute
	defaultInterval = 2 * time.Second
)

// lsFlags are the flags of ls.
type lsFlags struct {
	output             string
	all, count, failIf bool
	watch              bool
	interval           cli.Duration
	holder             string
	stuck              cli.Duration
	onlyStuck          bool
}

const lsLong = `List the locks that are held, by any process, with those whose holder is dead. GLOB selects names: *
stands for any text, also with slashes, and ? for one character.

LEASE-LEFT is how long the lock stays taken if its holder is dead; a live holder renews it. A lock whose lease has run
out is "expired": the next process that wants it gets it, unless a transaction that it guards is still open. Session
locks have no rows and are not listed.`

func (a *app) ls() *cobra.Command {
	f := &lsFlags{output: "table", interval: cli.Duration(defaultInterval)}
	cmd := &cobra.Command{
		Use:   "ls [GLOB]",
		Short: "List the locks that are held",
		Long:  lsLong,
		Example: "  sqllock ls\n  sqllock ls 'report/*' -o wide\n  sqllock ls --stuck=5m --fail-if-any    # for a " +
			"cron job that alerts",
		Args: cli.Arguments(0, 1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.onlyStuck = cmd.Flag("stuck").Changed
			if err := f.check(a); err != nil {
				return err
			}
			return a.whileReading(func(ctx context.Context, db *connection) error {
				return a.showList(ctx, db, f, f.matches(args))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "table", "the `format`: table, wide, json (as --json), jsonl or name")
	flags.BoolVar(&f.all, "all", false, "also list locks that are free, or that can't be taken yet")
	flags.StringVar(&f.holder, "holder", "", "only locks whose holder matches this `GLOB`")
	flags.Var(&f.stuck, "stuck", "only locks whose holder is dead, or for which somebody has waited for longer than "+
		"so long (1m without a value: write --stuck=5m)")
	flags.Lookup("stuck").NoOptDefVal = defaultStuck.String()
	flags.BoolVar(&f.count, "count", false, "print only how many there are")
	flags.BoolVar(&f.failIf, "fail-if-any", false, "exit with 1 if there is any")
	flags.BoolVar(&f.watch, "watch", false, "list again and again, until Ctrl-C")
	flags.Var(&f.interval, "interval", "with --watch: how often")
	return cmd
}

func (f *lsFlags) check(a *app) error {
	switch f.output {
	case "json":
		a.json = true
	case "table", "wide", "jsonl", "name":
	default:
		return cli.Usagef("-o %s: want table, wide, json, jsonl or name", f.output)
	}
	switch {
	case f.watch && a.json:
		return cli.Usagef("--watch doesn't go with json, which is one document: use -o jsonl")
	case f.watch && f.failIf:
		return cli.Usagef("--watch doesn't go with --fail-if-any")
	case f.watch && f.interval == 0:
		return cli.Usagef("--interval must be longer than 0")
	}
	return nil
}

// matches returns a function that reports whether a lock is to be listed, as far as that doesn't
// depend on its waiters.
func (f *lsFlags) matches(args []string) func(inspect.Lock) bool {
	name, holder := glob("*"), glob("*")
	if len(args) > 0 {
		name = glob(args[0])
	}
	if f.holder != "" {
		holder = glob(f.holder)
	}
	return func(l inspect.Lock) bool { return name(l.Name) && holder(l.Holder) }
}

func (a *app) showList(ctx context.Context, db *connection, f *lsFlags, matches func(inspect.Lock) bool) error {
	for {
		count, err := a.listOnce(ctx, db, f, matches)
		if f.watch && ctx.Err() != nil { // Ctrl-C came while it read
			return nil //nolint:nilerr // that is how the user ends it
		}
		if err != nil {
			return err
		}
		if !f.watch {
			if f.failIf && count > 0 {
				return &noError{fmt.Sprintf("there are %d such locks", count)}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(f.interval)):
		}
	}
}

// listOnce writes the list while it is read, and returns how many locks it has.
func (a *app) listOnce(
	ctx context.Context, db *connection, f *lsFlags, matches func(inspect.Lock) bool,
) (count int, err error) {
	w := a.newListWriter(f)
	if a.json {
		a.document.Locks = &[]inspect.Lock{}
	}
	for l, err := range inspect.Each(ctx, db.locks, f.all) {
		if err != nil {
			if len(w.locks) > 0 {
				err = errors.Join(err, w.flush())
			}
			return count, err
		}
		if !matches(l) || f.onlyStuck && !l.Stuck(time.Now(), time.Duration(f.stuck)) {
			continue
		}
		count++
		switch {
		case a.json: // one document, which is written in the end
			*a.document.Locks = append(*a.document.Locks, l)
		case !f.count:
			if err := w.add(l); err != nil {
				return count, err
			}
		}
	}
	if f.count {
		a.print("%d", count)
		return count, nil
	}
	return count, w.flush()
}
