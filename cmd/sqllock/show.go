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
)

// shown is what show and break found out about a name.
type shown struct {
	Name    string     `json:"name"`
	Holders []lockInfo `json:"holders"`
	Queue   []waiter   `json:"queue"`

	Broken       []brokenBefore `json:"broken_before,omitempty"` // the last one first
	BrokenUnread string         `json:"broken_before_error,omitempty"`
}

// brokenBefore is a lock of that name that was taken away from its holder.
type brokenBefore struct {
	At     time.Time    `json:"at"`
	By     string       `json:"by,omitempty"`
	From   string       `json:"from,omitempty"` // the process that did it
	Reason string       `json:"reason,omitempty"`
	Kind   sqllock.Kind `json:"kind"`
	Shared bool         `json:"shared,omitempty"`
	Permit *int         `json:"permit,omitempty"`
	Holder string       `json:"holder,omitempty"`
	Note   string       `json:"note,omitempty"`
	Fence  int64        `json:"fence"`
	Since  time.Time    `json:"since"`
}

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
			ctx, stop := a.untilSignal()
			defer stop()
			db, err := a.reading(ctx)
			if err != nil {
				return signalOr(ctx, err)
			}
			defer func() { _ = db.close(context.WithoutCancel(ctx)) }()
			found, err := db.show(ctx, args[0])
			if err != nil {
				return signalOr(ctx, err)
			}
			a.document.Lock = found
			a.print("%s", found)
			return nil
		},
	}
}

// show reads everything about a name.
func (c *connection) show(ctx context.Context, name string) (*shown, error) {
	holders, err := c.holders(ctx, name)
	if err != nil {
		return nil, err
	}
	queue, err := c.queue(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &shown{Name: name, Holders: holders, Queue: queue}
	return s, c.addBroken(ctx, s)
}

// addBroken reads what was broken before. Where it can't, because the tables or the grants are
// older than this command, it says so: who holds the lock matters more.
func (c *connection) addBroken(ctx context.Context, s *shown) error {
	breaks, err := c.locks.Breaks(ctx, s.Name)
	if err != nil {
		s.BrokenUnread = err.Error()
		return ctx.Err()
	}
	for _, b := range breaks {
		l := infoOf(sqllock.Info{Kind: b.Kind, Permit: b.Permit})
		s.Broken = append(s.Broken, brokenBefore{
			At: b.At, By: b.By, From: b.From, Reason: b.Reason, Kind: b.Kind, Shared: b.Shared, Permit: l.Permit,
			Holder: b.Holder, Note: b.Note, Fence: b.Fence, Since: b.Since,
		})
	}
	return nil
}

// String returns it for people.
func (s *shown) String() string {
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
	}
	lines = append(lines, s.brokenLines()...)
	return strings.Join(lines, "\n")
}

// mostBroken is how many breaks are shown to people.
const mostBroken = 5

// brokenLines says what was broken before.
func (s *shown) brokenLines() (lines []string) {
	if s.BrokenUnread != "" {
		return []string{"", "what was broken before can't be read: " + clean(s.BrokenUnread)}
	}
	if len(s.Broken) == 0 {
		return nil
	}
	lines = []string{"", "broken before:"}
	for _, b := range s.Broken[:min(len(s.Broken), mostBroken)] {
		l := lockInfo{Kind: b.Kind, Shared: b.Shared, Permit: b.Permit, Holder: b.Holder}
		by := cmp.Or(clean(b.By), "somebody")
		if b.From != "" {
			by += " (" + clean(b.From) + ")"
		}
		line := fmt.Sprintf("  %s (%s ago), by %s: %s of %s, with fence %d", b.At.UTC().Format(time.RFC3339), ago(b.At),
			by, l.kind(), holderName(l), b.Fence)
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
func describe(l lockInfo) []string {
	lines := []string{
		fmt.Sprintf("%q (%s) is held by %s", clean(l.Name), l.kind(), holderName(l)),
		fmt.Sprintf("  since %s (%s ago), with fence %d", l.Since.UTC().Format(time.RFC3339), ago(l.Since), l.Fence),
	}
	if l.Note != "" {
		lines = append(lines, "  note: "+clean(l.Note))
	}
	switch {
	case l.State == sqllock.StateExpired:
		lines = append(lines, "  its lease has run out: the holder is dead, and the next process that wants the lock "+
			"gets it, unless a transaction that it guards is still open")
	case l.Heartbeat != nil:
		beat := time.Duration(*l.Heartbeat * float64(time.Millisecond))
		lines = append(lines, fmt.Sprintf("  the holder is alive: its last heartbeat was %s ago; without another one "+
			"the lock is free in %s", short(beat), short(l.left())))
	default:
		lines = append(lines, fmt.Sprintf("  without another heartbeat the lock is free in %s", short(l.left())))
	}
	return lines
}

// forestLines returns the waiters as a tree.
func forestLines(queue []waiter) (lines []string) {
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
