package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// clean replaces what could change the terminal: names and notes come from other processes.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// ago returns how long ago a moment was, for people.
func ago(t time.Time) string { return short(time.Since(t)) }

// short returns a duration for people, with as much precision as they want.
func short(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// glob returns a function that reports whether a text matches a pattern, in which * stands for any
// text, also with slashes, and ? for any character.
func glob(pattern string) func(string) bool {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted)
	return regexp.MustCompile("(?s)^" + quoted + "$").MatchString
}

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
