package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// The views of top.
const (
	viewLocks    = '1'
	viewWaiting  = '2'
	viewBlocking = '3'
)

// topView is what top shows.
type topView struct {
	colour, interactive bool

	view    byte // 0 is viewLocks
	offset  int  // how many rows are above the screen
	page    int  // how many rows the last frame had room for
	stopped bool

	last               topReading // the last one that could be read
	failed             error      // why it could not be read again
	seen               map[acquisition]bool
	acquired, released float64 // per second
	rated              bool    // there are rates
}

// acquisition tells the acquisitions of all locks apart.
type acquisition struct {
	name  string
	kind  sqllock.Kind
	fence int64
}

// see takes a new reading, unless the view is stopped.
func (v *topView) see(r topReading) {
	if v.stopped {
		return
	}
	if v.failed = r.err; r.err != nil {
		return
	}
	seen, added := make(map[acquisition]bool, len(r.Locks)), 0
	for _, l := range r.Locks {
		key := acquisition{l.Name, l.Kind, l.Fence}
		if seen[key] = true; !v.seen[key] {
			added++
		}
	}
	if seconds := r.at.Sub(v.last.at).Seconds(); v.seen != nil && seconds > 0 {
		stayed := len(seen) - added
		v.acquired, v.released, v.rated = float64(added)/seconds, float64(len(v.seen)-stayed)/seconds, true
	}
	v.seen, v.last = seen, r
	slices.SortStableFunc(r.Locks, mostUrgent)
}

// mostUrgent orders locks with a dead holder first, then those waited for longest, then the oldest.
func mostUrgent(a, b inspect.Lock) int {
	rank := func(l inspect.Lock) (int, time.Time) {
		switch {
		case l.State == sqllock.StateExpired:
			return 0, l.Since
		case l.Waiting != nil:
			return 1, *l.Waiting
		}
		return 2, l.Since
	}
	rankA, sinceA := rank(a)
	rankB, sinceB := rank(b)
	return cmp.Or(cmp.Compare(rankA, rankB), sinceA.Compare(sinceB))
}

// press does what a key asks for, and reports whether that is to end.
func (v *topView) press(key string) (end bool) {
	switch key {
	case "q", "Q", "\x03":
		return true
	case "1", "2", "3":
		v.view, v.offset = key[0], 0
	case " ":
		v.stopped = !v.stopped
	case "j", "\x1b[B", "\x1bOB":
		v.offset++
	case "k", "\x1b[A", "\x1bOA":
		v.offset--
	case "\x1b[6~":
		v.offset += v.page
	case "\x1b[5~":
		v.offset -= v.page
	case "g", "\x1b[H", "\x1bOH", "\x1b[1~":
		v.offset = 0
	}
	return false
}

// frame returns the lines of the screen. With a height of 0 it has all rows, as wide as they are.
func (v *topView) frame(width, height int) []string {
	lines := v.header()
	v.page = max(height-len(lines)-1, 1)
	count := v.rows()
	v.offset = max(0, min(v.offset, count-v.page))
	from, to := v.offset, min(count, v.offset+v.page)
	if height == 0 {
		from, to = 0, count
	}
	title, rows := v.table(from, to)
	table := (&grid{limit: width / 4}).lines(append([][]string{title}, rows...))
	if v.colour {
		table[0] = bold + fit(table[0], width) + reset
		for i := range rows {
			if v.red(from + i) {
				table[i+1] = red + fit(table[i+1], width) + reset
			}
		}
	}
	for _, line := range table {
		if !strings.HasPrefix(line, "\x1b") { // names have no control characters any more
			line = fit(line, width)
		}
		lines = append(lines, line)
	}
	if height > 0 {
		lines = lines[:min(len(lines), height)]
	}
	for i := range min(len(lines), headerLines) {
		lines[i] = fit(lines[i], width)
	}
	return lines
}

// headerLines is how many lines are above the table.
const headerLines = 2

// header returns the lines above the table.
func (v *topView) header() []string {
	expired, oldest := 0, time.Time{}
	for _, l := range v.last.Locks {
		if l.State == sqllock.StateExpired {
			expired++
		}
	}
	for _, w := range v.last.Waiters {
		if oldest.IsZero() || w.Since.Before(oldest) {
			oldest = w.Since
		}
	}
	first := fmt.Sprintf("held %d  expired %d  waiting %d", len(v.last.Locks)-expired, expired, len(v.last.Waiters))
	if !oldest.IsZero() {
		first += "  longest " + ago(oldest)
	}
	if v.rated {
		first += fmt.Sprintf("  acquired %.1f/s  released %.1f/s", v.acquired, v.released)
	}
	if v.last.More {
		first += fmt.Sprintf("  (the first %d)", topLimit)
	}
	second := v.last.at.Format(time.TimeOnly)
	if v.interactive {
		second += "  1 locks  2 waiting  3 blocking  space stops  q quits"
	}
	switch {
	case v.failed != nil:
		second = v.last.at.Format(time.TimeOnly) + "  the database can't be read: " + clean(v.failed.Error())
	case v.stopped:
		second = v.last.at.Format(time.TimeOnly) + "  stopped: space resumes  q quits"
	}
	return []string{first, second}
}

// rows returns how many rows the view has.
func (v *topView) rows() int {
	switch v.view {
	case viewWaiting:
		return len(v.last.Waiters)
	case viewBlocking:
		return len(v.blocking())
	}
	return len(v.last.Locks)
}

// red reports whether the row is an alarm.
func (v *topView) red(row int) bool {
	return v.view <= viewLocks && v.last.Locks[row].State == sqllock.StateExpired
}

// table returns some rows of the view. Only what is visible is made into text.
func (v *topView) table(from, to int) (title []string, rows [][]string) {
	switch v.view {
	case viewWaiting:
		for _, w := range v.last.Waiters[from:to] {
			rows = append(rows, []string{
				clean(w.Name), string(w.Kind), clean(w.Holder), ago(w.Since), clean(w.Note),
			})
		}
		return []string{"NAME", "KIND", "WAITER", "FOR", "NOTE"}, rows
	case viewBlocking:
		for _, line := range v.blocking()[from:to] {
			rows = append(rows, []string{line})
		}
		return []string{"WHO IS IN WHOSE WAY"}, rows
	}
	for _, l := range v.last.Locks[from:to] {
		left, longest := short(l.Remaining()), ""
		if l.State == sqllock.StateExpired {
			left = string(l.State)
		}
		if l.Waiting != nil {
			longest = ago(*l.Waiting)
		}
		rows = append(rows, []string{
			clean(l.Name), l.KindText(), l.HolderText(), ago(l.Since), left, fmt.Sprint(l.Waiters), longest,
			clean(l.Note),
		})
	}
	return []string{"NAME", "KIND", "HOLDER", "SINCE", "LEASE-LEFT", "WAITERS", "LONGEST", "NOTE"}, rows
}

// mostBlocking is how many lines the view of who is in whose way has at most.
const mostBlocking = 2000

// blocking returns the forest of waiters. Its roots are the locks that are waited for and whose
// holders don't wait themselves, or all that are waited for if each of them does.
func (v *topView) blocking() (lines []string) {
	waits := map[string]bool{}
	for _, w := range v.last.Waiters {
		waits[w.Holder] = true
	}
	roots, all := []inspect.Lock{}, []inspect.Lock{}
	named := map[string]bool{}
	for _, l := range v.last.Locks {
		if l.Waiters == 0 || named[l.Name] {
			continue
		}
		named[l.Name] = true
		if all = append(all, l); !waits[l.Holder] {
			roots = append(roots, l)
		}
	}
	if len(roots) == 0 {
		roots = all
	}
	for _, l := range roots {
		if len(lines) >= mostBlocking {
			return append(lines[:mostBlocking], "and more")
		}
		lines = append(lines, fmt.Sprintf("%s (%s) is held by %s, for %s", clean(l.Name), l.KindText(), l.HolderText(),
			ago(l.Since)))
		lines = append(lines, indent(forestLines(v.last.Show(l.Name).Queue))...)
	}
	return lines
}
