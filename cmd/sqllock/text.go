package main

import (
	"io"
	"os"
	"time"

	"github.com/sqllock/sqllock/sqllock/inspect"
)

// How package inspect writes texts, so that the page of serve shows what the commands print.
var (
	clean = inspect.Printable
	short = inspect.Short
	glob  = inspect.Glob
)

// ago returns how long ago a moment was, for people.
func ago(t time.Time) string { return short(time.Since(t)) }

// The escape sequences of a terminal.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
	wipe  = "\x1b[H\x1b[2J"
)

// colours reports whether output on w may be coloured.
func colours(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && terminalSize(file) == nil
}
