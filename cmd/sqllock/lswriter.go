package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

const (
	listPart  = 500                    // how many locks of a list are written together
	listDelay = 200 * time.Millisecond // how long they are kept while others are read
)

// listWriter writes a list part by part, so that a long one needs no more memory than a short one.
type listWriter struct {
	*app
	*lsFlags
	colour bool
	begun  bool // something has been written
	last   string
	grid   grid
	locks  []inspect.Lock // not written yet
	at     time.Time      // of the last write
}

func (a *app) newListWriter(f *lsFlags) *listWriter {
	return &listWriter{app: a, lsFlags: f, colour: colours(a.stdout), at: time.Now()}
}

// add adds a lock to the list.
func (w *listWriter) add(l inspect.Lock) error {
	w.locks = append(w.locks, l)
	if len(w.locks) < listPart && time.Since(w.at) < listDelay {
		return nil
	}
	return w.flush()
}

// flush writes what hasn't been written yet, in the format that was asked for.
func (w *listWriter) flush() error {
	if w.json || w.count {
		return nil
	}
	var b bytes.Buffer
	if !w.begun && w.watch && isTerminal(w.stdout) {
		b.WriteString(wipe)
	}
	lines, err := w.lines()
	if err != nil {
		return err
	}
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	w.begun, w.locks, w.at = true, w.locks[:0], time.Now()
	if _, err := w.stdout.Write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

func (w *listWriter) lines() (lines []string, err error) {
	switch w.output {
	case "jsonl":
		for _, l := range w.locks {
			line, err := json.Marshal(l)
			if err != nil {
				return nil, err
			}
			lines = append(lines, string(line))
		}
	case "name":
		for _, l := range w.locks {
			if l.Name != w.last {
				lines = append(lines, clean(l.Name))
			}
			w.last = l.Name
		}
	default:
		return w.table(), nil
	}
	return lines, nil
}

// table returns the locks for people, at first with the titles of the columns.
func (w *listWriter) table() []string {
	var rows [][]string
	if !w.begun {
		title := []string{"NAME", "KIND", "HOLDER", "SINCE", "LEASE-LEFT", "WAITERS", "FENCE", "NOTE"}
		if w.output == "wide" {
			title = append(title, "STATE", "SINCE (UTC)", "FIRST WAITS FOR")
		}
		rows = append(rows, title)
	}
	titles := len(rows)
	for _, l := range w.locks {
		rows = append(rows, listRow(l, w.output == "wide"))
	}
	lines := w.grid.lines(rows)
	if !w.colour {
		return lines
	}
	for i := range titles {
		lines[i] = bold + lines[i] + reset
	}
	for i, l := range w.locks {
		if l.State == sqllock.StateExpired {
			lines[titles+i] = red + lines[titles+i] + reset
		}
	}
	return lines
}

func listRow(l inspect.Lock, wide bool) []string {
	left := short(l.Remaining())
	if l.State == sqllock.StateExpired || l.State == sqllock.StateFree {
		left = string(l.State)
	}
	row := []string{
		clean(l.Name), l.KindText(), clean(l.Holder), ago(l.Since), left, fmt.Sprint(l.Waiters), fmt.Sprint(l.Fence),
		clean(l.Note),
	}
	if !wide {
		return row
	}
	waiting := ""
	if l.Waiting != nil {
		waiting = ago(*l.Waiting)
	}
	return append(row, string(l.State), l.Since.UTC().Format(time.RFC3339), waiting)
}
