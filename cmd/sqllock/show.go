package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

const showLong = `Show who holds the locks of a name, of every kind: since when, with which fence, and when its
process last showed that it is alive. Then show who waits for them, what each of these processes holds meanwhile, and
who waits for that, and which locks of that name were broken in the last 90 days: by whom, and why.`

func (a *app) show() *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show who holds a lock and who waits for it",
		Long:    showLong,
		Example: "  sqllock show migrate",
		Args:    cli.Arguments(1, 1, "the NAME of the lock"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.whileReading(func(ctx context.Context, db *connection) error {
				found, err := inspect.Show(ctx, db.locks, args[0])
				if err != nil {
					return err
				}
				a.document.Lock = found
				a.print("%s", details(found))
				return nil
			})
		},
	}
}

// details says who holds the locks of a name, who waits for them, and what was broken before.
func details(s *inspect.Details) string {
	var lines []string
	for _, l := range s.Holders {
		lines = append(lines, describe(l)...)
	}
	if len(s.Holders) == 0 {
		lines = append(lines, fmt.Sprintf("nobody holds %q", clean(s.Name)))
	}
	if len(s.Queue) > 0 {
		lines = append(lines, "", "waiting, in this order:")
		lines = append(lines, indent(forestLines(s.Queue))...)
		if s.More {
			lines = append(lines, "  and more")
		}
	}
	lines = append(lines, brokenLines(s)...)
	return strings.Join(lines, "\n")
}

// mostBroken is how many breaks are shown to people.
const mostBroken = 5

// brokenLines says what was broken before.
func brokenLines(s *inspect.Details) (lines []string) {
	if s.BrokenUnread != "" {
		return []string{"", "what was broken before can't be read: " + clean(s.BrokenUnread)}
	}
	if len(s.Broken) == 0 {
		return nil
	}
	lines = []string{"", "broken before:"}
	for _, b := range s.Broken[:min(len(s.Broken), mostBroken)] {
		l := b.Lock()
		by := cmp.Or(clean(b.By), "somebody")
		if b.From != "" {
			by += " (" + clean(b.From) + ")"
		}
		line := fmt.Sprintf("  %s (%s ago), by %s: %s of %s, with fence %d", b.At.UTC().Format(time.RFC3339), ago(b.At),
			by, l.KindText(), l.HolderText(), b.Fence)
		if b.Reason != "" {
			line += ": " + clean(b.Reason)
		}
		lines = append(lines, line)
	}
	if more := len(s.Broken) - mostBroken; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more, which --json has", more))
	}
	return lines
}

// describe says who holds a lock.
func describe(l inspect.Lock) []string {
	lines := []string{
		fmt.Sprintf("%q (%s) is held by %s", clean(l.Name), l.KindText(), l.HolderText()),
		fmt.Sprintf("  since %s (%s ago), with fence %d", l.Since.UTC().Format(time.RFC3339), ago(l.Since), l.Fence),
	}
	if l.Note != "" {
		lines = append(lines, "  note: "+clean(l.Note))
	}
	switch {
	case l.State == sqllock.StateExpired:
		lines = append(lines, "  its lease has run out: the holder is dead, and the next process that wants the lock "+
			"gets it, unless a transaction that it guards is still open")
	default:
		lines = append(lines, fmt.Sprintf("  the holder is alive: its last heartbeat was %s ago; without another one "+
			"the lock is free in %s", short(l.Heartbeat()), short(l.Remaining())))
	}
	return lines
}

// forestLines returns the waiters as a tree.
func forestLines(queue []inspect.Waiter) (lines []string) {
	for i, w := range queue {
		line := fmt.Sprintf("%d. %s, for %s", i+1, clean(w.Holder), ago(w.Since))
		if w.Note != "" {
			line += " (" + clean(w.Note) + ")"
		}
		lines = append(lines, line)
		for _, h := range w.Holds {
			lines = append(lines, fmt.Sprintf("     holds %q (%s), with fence %d", clean(h.Name), h.Kind, h.Fence))
			lines = append(lines, indent(indent(forestLines(h.Waiters)))...)
		}
	}
	return lines
}

func indent(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = "  " + line
	}
	return out
}
