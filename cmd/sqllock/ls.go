package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
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
		list, err := db.list(ctx, f.all, matches)
		if err != nil {
			return err
		}
		if f.onlyStuck {
			now := time.Now()
			list = slices.DeleteFunc(list, func(l inspect.Lock) bool { return !l.Stuck(now, time.Duration(f.stuck)) })
		}
		a.document.Locks = &list
		if err := a.writeList(f, list); err != nil {
			return err
		}
		if !f.watch {
			if f.failIf && len(list) > 0 {
				return &noError{fmt.Sprintf("there are %d such locks", len(list))}
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

// writeList writes a list in the format that was asked for.
func (a *app) writeList(f *lsFlags, list []inspect.Lock) error {
	colour := colours(a.stdout)
	if f.watch && isTerminal(a.stdout) {
		_, _ = io.WriteString(a.stdout, wipe)
	}
	switch {
	case f.count:
		a.print("%d", len(list))
	case f.output == "jsonl":
		for _, l := range list {
			line, err := json.Marshal(l)
			if err != nil {
				return err
			}
			a.print("%s", line)
		}
	case f.output == "name":
		last := ""
		for _, l := range list {
			if l.Name != last {
				a.print("%s", clean(l.Name))
			}
			last = l.Name
		}
	default:
		a.print("%s", strings.TrimSuffix(table(list, f.output == "wide", colour), "\n"))
	}
	return nil
}

// table returns the list for people.
func table(list []inspect.Lock, wide, colour bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "NAME\tKIND\tHOLDER\tSINCE\tLEASE-LEFT\tWAITERS\tFENCE\tNOTE")
	if wide {
		fmt.Fprint(w, "\tSTATE\tSINCE (UTC)\tFIRST WAITS FOR")
	}
	fmt.Fprintln(w)
	for _, l := range list {
		left := short(l.Remaining())
		if l.State == sqllock.StateExpired || l.State == sqllock.StateFree {
			left = string(l.State)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s", clean(l.Name), l.KindText(), clean(l.Holder),
			ago(l.Since), left, l.Waiters, l.Fence, clean(l.Note))
		if wide {
			waiting := ""
			if l.Waiting != nil {
				waiting = ago(*l.Waiting)
			}
			fmt.Fprintf(w, "\t%s\t%s\t%s", l.State, l.Since.UTC().Format(time.RFC3339), waiting)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	if !colour {
		return b.String()
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	lines[0] = bold + lines[0] + reset
	for i, l := range list {
		if l.State == sqllock.StateExpired {
			lines[i+1] = red + lines[i+1] + reset
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
