package migrations

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"

	"github.com/sqllock/sqllock/migrations/lock"
	"github.com/sqllock/sqllock/sqllock"
)

// DirtyError reports that an earlier run failed or was cut off inside a migration, so that it isn't
// known which part of the migration was applied. Nothing was changed. It matches [migrate.ErrDirty]
// with [errors.As].
type DirtyError struct {
	Version int      // the version that the run was migrating to; -1 means an empty database
	Files   []string // the migrations that lead there
	Own     bool     // whether they are sqllock's own
}

// command returns the command line of sqllock-migrate's command name, for sqllock's own tables or
// for the application's.
func command(own bool, name string) string {
	if own {
		name = "own " + name
	}
	return "`sqllock-migrate " + name + "`"
}

// Error says what happened and how to repair it.
func (e *DirtyError) Error() string {
	files := "a migration"
	if len(e.Files) > 0 {
		files = strings.Join(e.Files, " or ")
	}
	return fmt.Sprintf("the database is dirty at version %d: an earlier run failed or was cut off in %s. To "+
		"repair it, check what that file has done, complete or undo it by hand, and record the version which "+
		"the tables are now at with %s (force %[1]d if it is complete, the version before if it is undone; -1 is "+
		"an empty database); then migrate again", e.Version, files, command(e.Own, "force"))
}

// As makes [errors.As] find golang-migrate's own error.
func (e *DirtyError) As(target any) bool {
	dirty, ok := target.(*migrate.ErrDirty)
	if ok {
		dirty.Version = e.Version
	}
	return ok
}

// StatementError reports that the database refused a statement of a migration.
type StatementError struct {
	File         string // the migration's file
	Line, Column int    // position in the file, from 1; 0 if unknown
	Excerpt      string // the line, or the statement if the line is unknown
	Err          error  // the database's error
	Version      int    // the version that the database is at now
	Own          bool   // whether the migration is sqllock's own
	Dirty        bool   // whether the file may be applied in part; otherwise it was undone
	Reason       string // why it couldn't be undone, if Dirty
	All          bool   // whether all that this run had applied before it was undone as well
	Hint         string // what is likely to be wrong, and what to do about it; empty if unknown
}

// Error says where and why the migration failed, and what to do.
func (e *StatementError) Error() string {
	where := e.File
	if e.Line > 0 {
		where += fmt.Sprintf(":%d", e.Line)
		if e.Column > 0 {
			where += fmt.Sprintf(":%d", e.Column)
		}
	}
	undone := "That migration"
	if e.All {
		undone = "All of this run"
	}
	what := fmt.Sprintf("%s was undone, and the database is at version %d: fix the file and migrate "+
		"again.", undone, e.Version)
	if e.Version < 0 {
		what = undone + " was undone, and the database is empty as it was: fix the file and migrate again."
	}
	if e.Dirty {
		what = fmt.Sprintf("The version is now %d and dirty, since the file may have been carried out in part%s: "+
			"fix it, undo what it has done, record the version before it with %s, and migrate again.",
			e.Version, because(e.Reason), command(e.Own, "force"))
	}
	if e.Hint != "" {
		what = "Hint: " + e.Hint + "\n" + what
	}
	return fmt.Sprintf("%s: %v\n%s\n%s", where, e.Err, strings.TrimRight(e.Excerpt, "\n"), what)
}

// Unwrap returns the database's error.
func (e *StatementError) Unwrap() error { return e.Err }

// because returns the reason why a migration couldn't be undone, in parentheses.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " and couldn't be undone (" + reason + ")"
}

// UnconfirmedError reports that the connection was lost while a migration and its version were
// being committed together.
type UnconfirmedError struct {
	File          string // the migration's file
	Own           bool   // whether it is sqllock's own
	Before, After int    // the version if it wasn't applied, and if it was; -1 means none
	Err           error  // the driver's error
}

// Error says how to find out which version the database is at.
func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("%s: the connection was lost while it was being committed: the database is either at "+
		"version %d, with all of it applied, or at version %d (-1 is none), with nothing of it. %s says which; "+
		"then migrate again (%v)",
		e.File, e.After, e.Before, command(e.Own, "version"), e.Err)
}

// Unwrap returns the driver's error.
func (e *UnconfirmedError) Unwrap() error { return e.Err }

// LockTimeoutError reports that another process held the migration lock until the lock timeout had
// passed. Nothing was changed. It matches [migrate.ErrLockTimeout].
type LockTimeoutError struct {
	Timeout time.Duration      // the time waited; 0 if the call didn't wait
	Held    *sqllock.HeldError // the last known holder; nil if unknown
	Err     error              // the error of the last attempt; may be nil
}

// Error names the holder, as far as it is known, and says what to do.
func (e *LockTimeoutError) Error() string {
	const what = "wait until it has migrated, or set a longer lock timeout, and try again"
	switch {
	case e.Held != nil:
		return fmt.Sprintf("another process %s: %s. If it is alive, %s; if it is stuck, end it, and see "+
			"`sqllock-migrate unlock`", lock.Holds(e.Timeout), lock.Describe(e.Held), what)
	case e.Err != nil:
		return fmt.Sprintf("the migration lock couldn't be acquired within %v: %v", e.Timeout, e.Err)
	}
	return fmt.Sprintf("another process %s: %s", lock.Holds(e.Timeout), what)
}

// Unwrap makes [errors.Is] find golang-migrate's own error and the error of the last attempt.
func (e *LockTimeoutError) Unwrap() []error { return []error{migrate.ErrLockTimeout, e.Err} }

// SlowError reports that the database can be reached but hasn't responded within the lock timeout.
// No holder of the lock was seen. Nothing was changed. It matches [migrate.ErrLockTimeout].
type SlowError struct {
	Timeout time.Duration // the time waited
	Err     error         // the error of the last attempt
}

// Error says what to check.
func (e *SlowError) Error() string {
	return fmt.Sprintf("the database hasn't answered within %v, and no holder of the migration lock was seen: "+
		"see what keeps it busy, or set a longer lock timeout, and try again (%v)", e.Timeout, e.Err)
}

// Unwrap makes [errors.Is] find golang-migrate's own error and the error of the last attempt.
func (e *SlowError) Unwrap() []error { return []error{migrate.ErrLockTimeout, e.Err} }

// LockLostError reports that the migration lock was lost between two migrations, so that another
// process may already be migrating. The earlier migrations are applied and recorded. It matches
// [sqllock.ErrLost].
type LockLostError struct {
	Version   int   // the version that the database was at
	Remaining int   // how many migrations were still to apply
	Err       error // how it was lost
}

// Error says where the run stopped, and what to do.
func (e *LockLostError) Error() string {
	return fmt.Sprintf("stopped at version %d, cleanly, with %d more to apply, because the migration lock was "+
		"lost and another process may be migrating by now: migrate again to go on. If the database couldn't be "+
		"reached for longer than the lock's TTL, or a migration on SQLite takes longer than that, set a longer "+
		"one (%v)", e.Version, e.Remaining, e.Err)
}

// Unwrap returns the reason why the lock was lost.
func (e *LockLostError) Unwrap() error { return e.Err }

// StoppedError reports that ctx ended before all migrations were applied. Migrations before Version
// are applied and recorded.
type StoppedError struct {
	Version   int    // the version that the database is at now
	Remaining int    // how many migrations were still to apply, File included
	Own       bool   // whether they are sqllock's own
	Cause     error  // why ctx ended
	File      string // the migration that was cut off; empty if the run stopped between two

	// Dirty reports whether File may be applied in part and Version is dirty, for the Reason given.
	// Otherwise File was undone.
	Dirty  bool
	Reason string

	// Unconfirmed reports whether the database hasn't responded. It may still be executing File, or
	// undoing it.
	Unconfirmed bool

	Err error // the database's error when File's statement was canceled; may be nil
}

// Error says where the run stopped, and what to do.
func (e *StoppedError) Error() string {
	const again = "migrate again to go on"
	switch {
	case e.File == "":
		unanswered := ""
		if e.Unconfirmed {
			unanswered = " (the database didn't answer any more)"
		}
		return fmt.Sprintf("stopped at version %d, cleanly, with %d more to apply%s: %s "+
			"(%v)", e.Version, e.Remaining, unanswered,
			again, e.Cause)
	case e.Dirty && e.Unconfirmed:
		return fmt.Sprintf("stopped in %s, without an answer from the database, which may still be executing it: the "+
			"version is %d and dirty, since that file may have been carried out in part%s. When the database has "+
			"ended it, %s (%v)", e.File, e.Version,
			because(e.Reason), e.repair(), e.Cause)
	case e.Dirty:
		return fmt.Sprintf("stopped in %s, whose statement was cancelled: the version is %d and dirty, since that "+
			"file may have been carried out in part%s. %s (%v)",
			e.File, e.Version, because(e.Reason), e.repair(), e.Cause)
	case e.Unconfirmed:
		return fmt.Sprintf("stopped in %s, without an answer from the database: it undoes that file as soon as it "+
			"notices that the connection is gone, and is then at version %d (-1 is none), with %d more to "+
			"apply: %s (%v)", e.File, e.Version, e.Remaining,
			again, e.Cause)
	}
	return fmt.Sprintf("stopped in %s, which was cancelled and undone: the database is at version %d (-1 is "+
		"none), with %d more to apply: %s (%v)", e.File, e.Version, e.Remaining, again, e.Cause)
}

func (e *StoppedError) repair() string {
	return fmt.Sprintf("check what the file has done, complete or undo it by hand, record the version which the "+
		"tables are then at with %s (force %d if it is complete), and migrate again",
		command(e.Own, "force"), e.Version)
}

// Unwrap returns the reason why ctx ended.
func (e *StoppedError) Unwrap() error { return e.Cause }

// UnknownVersionError reports that there is no migration of a version.
type UnknownVersionError struct {
	Version, Latest uint // the version without a migration, and the latest that has one
	Asked           bool // whether the caller named Version; otherwise the database is at it
}

// Error says what to do.
func (e *UnknownVersionError) Error() string {
	switch {
	case e.Asked:
		return fmt.Sprintf("there is no migration of version %d; the latest is %d", e.Version, e.Latest)
	case e.Version > e.Latest:
		return fmt.Sprintf("the database is at version %d, and the latest migration known here is %d: a newer "+
			"release has migrated it; use that one, and leave the tables as they are, since newer processes may "+
			"be using them", e.Version, e.Latest)
	}
	return fmt.Sprintf("the database is at version %d, of which there is no migration: its file is missing, or "+
		"these aren't that database's migrations", e.Version)
}

// ShortError reports that there were fewer migrations to apply than the caller asked for. Those
// that existed are applied.
type ShortError struct {
	Asked, Short int // how many the caller asked for, and how many of these were missing
}

// Error says how many migrations there were.
func (e *ShortError) Error() string {
	what, there := "migrations", fmt.Sprintf("there were only %d", e.Asked-e.Short)
	if e.Asked == 1 {
		what = "migration"
	}
	if e.Asked == e.Short {
		there = "there was none"
	}
	return fmt.Sprintf("asked for %d %s, and %s to apply", e.Asked, what, there)
}

// ConnectError reports that the database couldn't be reached or refused the login. Nothing was
// changed.
type ConnectError struct {
	Err error // the driver's error
}

// Error says what to check.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("can't connect to the database: %v\ncheck that it is there and running, and what the URL "+
		"says: host, port, user, password, path", e.Err)
}

// Unwrap returns the driver's error.
func (e *ConnectError) Unwrap() error { return e.Err }

// ended returns how and why ctx ended.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() { //nolint:errorlint // compares identity, not the chain
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
