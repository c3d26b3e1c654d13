package main

import (
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// document is the output of --json. Fields that don't apply to a command are left out.
type document struct {
	Command  string           `json:"command,omitempty"`
	Run      *ran             `json:"run,omitempty"`
	Locks    *[]inspect.Lock  `json:"locks,omitempty"`
	Lock     *inspect.Details `json:"lock,omitempty"`
	Broken   *broken          `json:"broken,omitempty"`
	Findings []findingInfo    `json:"findings,omitempty"`
	Bench    []benchResult    `json:"bench,omitempty"`
	SQL      string           `json:"sql,omitempty"`
	Error    *failure         `json:"error,omitempty"`
}

// finish writes the document and the error, and returns the exit code.
func (a *app) finish(err error) int {
	code := 0
	if err != nil {
		a.document.Error = explain(err)
		code = a.document.Error.Exit
		a.showError(err)
	}
	if a.json && (a.document.Command != "" || err != nil) {
		w := a.stdout
		if a.toStderr {
			w = a.stderr
		}
		if err := cli.WriteJSON(w, a.document); err != nil {
			_, _ = fmt.Fprintf(a.stderr, "sqllock: the result can't be written: %v\n", err)
			return max(code, exitNo)
		}
	}
	return code
}

// showError writes an error for people, unless it was written before or nobody wants to see it.
func (a *app) showError(err error) {
	f := a.document.Error
	switch silent := new(childError); {
	case a.json:
	case errors.As(err, &silent) && silent.told:
	case a.quiet && f.Kind == "not acquired":
	default:
		_, _ = fmt.Fprintf(a.stderr, "sqllock: %s\n", f.Message)
		if f.Kind == "invalid" && a.document.Command != "" {
			_, _ = fmt.Fprintf(a.stderr, "sqllock %s --help says how to use it\n", a.document.Command)
		}
	}
}

// print writes a line of the result for people. With --json it writes nothing.
func (a *app) print(format string, args ...any) {
	if !a.json {
		_, _ = fmt.Fprintf(a.stdout, format+"\n", args...)
	}
}
