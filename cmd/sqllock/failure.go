package main

import (
	"errors"

	"github.com/sqllock/sqllock/cmd/sqllock/internal/child"
	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/sqllock"
)

// The exit codes. Those that are in sysexits.h have their meaning from there.
const (
	exitNo          = 1
	exitUsage       = 64
	exitUnavailable = 69
	exitNotAcquired = 75
	exitLost        = 76
	exitSchema      = 78
	exitTimeout     = 124
)

// failure is an error: its kind, its exit code, and its message for people.
type failure struct {
	Kind    string `json:"kind"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
}

// noError is an answer that isn't the wanted one, where nothing has failed.
type noError struct{ what string }

func (e *noError) Error() string { return e.what }

// missingError reports that a database file is missing.
type missingError struct{ file string }

func (e *missingError) Error() string {
	return "there is no file " + e.file + "; `sqllock-migrate own up` would create it, with sqllock's tables"
}

// timeoutError reports that something didn't come in time.
type timeoutError struct{ what string }

func (e *timeoutError) Error() string { return e.what }

// explain maps an error to the documented exit codes.
func explain(err error) *failure {
	f := &failure{Kind: "database", Exit: exitUnavailable, Message: bare(err)}
	var (
		usage   *cli.UsageError
		no      *noError
		signal  *signalError
		start   *child.StartError
		ended   *childError
		timeout *timeoutError
	)
	switch {
	case errors.As(err, &usage), errors.Is(err, sqllock.ErrInvalid):
		f.Kind, f.Exit = "invalid", exitUsage
	case errors.As(err, &no):
		f.Kind, f.Exit = "no", exitNo
	case errors.As(err, &ended):
		f.Kind, f.Exit = ended.kind, ended.status
	case errors.As(err, &start):
		f.Kind, f.Exit = "start", start.Status
	case errors.As(err, &signal):
		f.Kind, f.Exit = "signal", signal.status()
	case errors.Is(err, sqllock.ErrSchema):
		f.Kind, f.Exit = "schema", exitSchema
	case errors.Is(err, sqllock.ErrLost):
		f.Kind, f.Exit = "lost", exitLost
	case errors.Is(err, sqllock.ErrNotAcquired), errors.As(err, &timeout):
		f.Kind, f.Exit = "not acquired", exitNotAcquired
	case errors.Is(err, sqllock.ErrUnsupported):
		f.Kind = "unsupported"
	}
	return f
}
