package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/internal/cli"
	"github.com/sqllock/sqllock/migrations"
	"github.com/sqllock/sqllock/sqllock"
)

// result is the output of --json. Fields that don't apply to a command are left out.
type result struct {
	Command    string      `json:"command,omitempty"`
	Version    *int        `json:"version,omitempty"` // -1 if none is applied
	Dirty      *bool       `json:"dirty,omitempty"`
	Lock       *locked     `json:"lock,omitempty"`
	Applied    []applied   `json:"applied,omitempty"`
	Counts     *counts     `json:"counts,omitempty"`
	History    string      `json:"history,omitempty"` // the history table
	Migrations []migration `json:"migrations,omitempty"`
	Repaired   []migration `json:"repaired,omitempty"`
	Problems   []problem   `json:"problems,omitempty"` // found by validate
	Files      []string    `json:"files,omitempty"`
	Holders    *[]holder   `json:"holders,omitempty"` // of the migration lock
	Unseen     []unseen    `json:"unseen,omitempty"`  // kinds of lock that couldn't be read
	Broken     bool        `json:"broken,omitempty"`  // whether unlock broke the lock
	SQL        string      `json:"sql,omitempty"`     // that makes sqllock's own tables
	Warnings   []string    `json:"warnings,omitempty"`
	Error      *failure    `json:"error,omitempty"`
}

// applied is a migration that this run applied.
type applied struct {
	Version   uint    `json:"version"`
	Name      string  `json:"name"`
	Direction string  `json:"direction"` // up or down
	File      string  `json:"file,omitempty"`
	Late      bool    `json:"late,omitempty"` // whether a later one had been applied before
	Took      float64 `json:"took_ms"`
}

// counts has the number of migrations in each state.
type counts struct {
	Applied int `json:"applied"`
	Pending int `json:"pending"`
	Late    int `json:"late"`
	Edited  int `json:"edited"` // these count as applied as well
}

// migration is a line of status. Fields from the history are left out if the history has no record.
type migration struct {
	Version  uint             `json:"version"`
	Name     string           `json:"name,omitempty"`
	State    migrations.State `json:"state"`
	How      migrations.How   `json:"how,omitempty"`
	At       *time.Time       `json:"recorded_at,omitempty"` // if how is run: when it was applied
	Took     float64          `json:"took_ms,omitempty"`
	By       string           `json:"by,omitempty"`
	Checksum string           `json:"checksum,omitempty"`
}

// problem is a problem that validate has found in a folder.
type problem struct {
	File     string `json:"file"`
	Severity string `json:"severity"` // error or warning
	Message  string `json:"message"`
}

// failure is an error: its kind, which is one of those that explain returns, and its message for
// people.
type failure struct {
	Kind    string `json:"kind"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
}

// missingError reports that a database file is missing, and that the command doesn't create it.
type missingError struct {
	file, command string
	own           bool
}

func (e *missingError) Error() string {
	prefix := ""
	if e.own {
		prefix = "own "
	}
	return fmt.Sprintf("there is no file %s; %sup would create it, %[2]s%[3]s doesn't", e.file, prefix, e.command)
}

// declinedError is an answer of no to a question.
type declinedError struct{ what string }

func (e *declinedError) Error() string { return e.what }

// explain maps an error to the documented exit codes.
func explain(err error) *failure {
	f := &failure{Kind: "failed", Exit: 1, Message: err.Error()}
	var (
		usage     *cli.UsageError
		stopped   *migrations.StoppedError
		dirty     *migrations.DirtyError
		connect   *migrations.ConnectError
		missing   *missingError
		slow      *migrations.SlowError
		versions  *migrations.VersionTableError
		locked    *migrations.LockTimeoutError
		statement *migrations.StatementError
		unknown   *migrations.UnknownVersionError
		short     *migrations.ShortError
		declined  *declinedError
		alive     *aliveError
		late      *migrations.LateError
		edited    *migrations.EditedError
		behind    *behindError
		folder    *invalidFolderError
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
	case errors.As(err, &slow):
		f.Kind, f.Exit = "slow", 4
	case errors.As(err, &versions):
		f.Kind = "version_table"
	case errors.As(err, &locked), errors.As(err, &alive):
		f.Kind, f.Exit = "locked", 5
	case errors.As(err, &unknown):
		f.Kind = "unknown_version"
	case errors.As(err, &short):
		f.Kind = "short"
	case errors.As(err, &declined):
		f.Kind = "declined"
	case errors.As(err, &late):
		f.Kind = "late"
	case errors.As(err, &edited):
		f.Kind = "edited"
	case errors.As(err, &behind):
		f.Kind, f.Exit = "behind", 7
	case errors.As(err, &folder):
		f.Kind = "invalid_folder"
	}
	return f
}

// finish writes the result and the error, and returns the exit code.
func (a *app) finish(err error) int {
	code := 0
	if err != nil {
		a.result.Error = explain(err)
		code = a.result.Error.Exit
		a.say("error: %s", a.result.Error.Message)
		if usage := new(cli.UsageError); errors.As(err, &usage) {
			a.say("sqllock-migrate --help says how to use it")
		}
	}
	if a.json && (a.result.Command != "" || err != nil) {
		if err := cli.WriteJSON(a.stdout, a.result); err != nil {
			a.say("error: can't write the result: %v", err)
			return max(code, 1)
		}
	}
	return code
}

// warn writes a warning.
func (a *app) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.result.Warnings = append(a.result.Warnings, text)
	a.say("warning: %s", text)
}

// at records the database's version in the result.
func (a *app) at(version int, dirty bool) { a.result.Version, a.result.Dirty = &version, &dirty }

// print writes a line of the result for people. With --json it writes nothing; finish writes the
// whole result.
func (a *app) print(line any) error {
	if a.json {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}
