package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// result is what --json writes. Fields that a command has nothing to say about are left out.
type result struct {
	Command    string      `json:"command,omitempty"`
	Version    *int        `json:"version,omitempty"` // -1: none applied
	Dirty      *bool       `json:"dirty,omitempty"`
	Lock       *locked     `json:"lock,omitempty"`
	Applied    []applied   `json:"applied,omitempty"`
	Migrations []migration `json:"migrations,omitempty"`
	Files      []string    `json:"files,omitempty"`
	Holders    *[]holder   `json:"holders,omitempty"` // of the migration lock
	Unseen     []unseen    `json:"unseen,omitempty"`  // what they couldn't be looked for in
	Broken     bool        `json:"broken,omitempty"`  // it was taken away from its holder
	Error      *failure    `json:"error,omitempty"`
}

// applied is a migration that this run applied.
type applied struct {
	Version   uint    `json:"version"`
	Name      string  `json:"name"`
	Direction string  `json:"direction"` // up or down
	File      string  `json:"file,omitempty"`
	Took      float64 `json:"took_ms"`
}

// migration is a line of status.
type migration struct {
	Version uint   `json:"version"`
	Name    string `json:"name,omitempty"`
	State   string `json:"state"` // applied, pending, dirty or unknown
}

// failure is an error by its kind, which is one of those in failures below, and for people.
type failure struct {
	Kind    string `json:"kind"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
}

// usageError is a command line that can't be executed.
type usageError struct{ why string }

func (e *usageError) Error() string { return e.why }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// missingError is a database that isn't there, where looking at it would make it.
type missingError struct{ file, command string }

func (e *missingError) Error() string {
	return fmt.Sprintf("there is no file %s; up would make it, %s doesn't", e.file, e.command)
}

// declinedError is an answer of no to a question.
type declinedError struct{ what string }

func (e *declinedError) Error() string { return e.what }

// explain sorts an error into the documented exit codes.
func explain(err error) *failure {
	f := &failure{Kind: "failed", Exit: 1, Message: err.Error()}
	var (
		usage     *usageError
		stopped   *migrations.StoppedError
		dirty     *migrations.DirtyError
		connect   *migrations.ConnectError
		missing   *missingError
		locked    *migrations.LockTimeoutError
		statement *migrations.StatementError
		unknown   *migrations.UnknownVersionError
		short     *migrations.ShortError
		declined  *declinedError
		alive     *aliveError
	)
	switch {
	case errors.As(err, &usage), errors.Is(err, dialect.ErrInvalid):
		f.Kind, f.Exit = "invalid", 2
	case errors.As(err, &statement):
		f.Kind = "statement"
	case errors.Is(err, sqllock.ErrLost):
		f.Kind, f.Exit = "lost", 6
	case errors.As(err, &stopped), errors.Is(err, context.Canceled):
		f.Kind, f.Exit = "stopped", 130
	case errors.As(err, &dirty):
		f.Kind, f.Exit = "dirty", 3
	case errors.As(err, &connect), errors.As(err, &missing):
		f.Kind, f.Exit = "unreachable", 4
	case errors.As(err, &locked), errors.As(err, &alive):
		f.Kind, f.Exit = "locked", 5
	case errors.As(err, &unknown):
		f.Kind = "unknown_version"
	case errors.As(err, &short):
		f.Kind = "short"
	case errors.As(err, &declined):
		f.Kind = "declined"
	}
	return f
}

// finish writes what there is to write, and answers the exit code.
func (a *app) finish(err error) int {
	code := 0
	if err != nil {
		a.result.Error = explain(err)
		code = a.result.Error.Exit
		a.say("error: %s", a.result.Error.Message)
		if usage := new(usageError); errors.As(err, &usage) {
			a.say("sqllock-migrate --help says how to use it")
		}
	}
	if a.json && (a.result.Command != "" || err != nil) {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(a.result); err != nil {
			a.say("error: can't write the result: %v", err)
			return max(code, 1)
		}
	}
	return code
}

// at notes where the database is.
func (a *app) at(version int, dirty bool) { a.result.Version, a.result.Dirty = &version, &dirty }

// print writes a line of the result for people; with --json the result is written at the end, as a whole.
func (a *app) print(line any) error {
	if a.json {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}
