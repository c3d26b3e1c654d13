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

// DirtyError says that an earlier run was cut off, or failed, inside a migration, so nobody knows how far it came.
// Nothing was changed. It matches migrate.ErrDirty with errors.As.
type DirtyError struct {
	Version int      // the version that the run was on its way to; -1 is that of an empty database
	Files   []string // the migrations that lead there
	Table   string   // where that is recorded; empty if unknown
}

// Error says what happened and how to repair it.
func (e *DirtyError) Error() string {
	files := "a migration"
	if len(e.Files) > 0 {
		files = strings.Join(e.Files, " or ")
	}
	return fmt.Sprintf("the database is dirty at version %d: an earlier run failed or was cut off in %s. "+
		"To repair it, look at what that file has done, complete or undo it by hand, and record the version which the tables "+
		"are now at with the command force (force %d if it is complete, the version before if it is undone; -1 is none at all); "+
		"then migrate again", e.Version, files, e.Version)
}

// As makes errors.As find golang-migrate's own error.
func (e *DirtyError) As(target any) bool {
	dirty, ok := target.(*migrate.ErrDirty)
	if ok {
		dirty.Version = e.Version
	}
	return ok
}

// StatementError says that the database refused what stands in a migration.
type StatementError struct {
	File         string // its name
	Line, Column int    // in the file, from 1; 0 if unknown
	Excerpt      string // the line, or the statement where the line is unknown
	Err          error  // the database's
	Version      int    // the version that the database is at now
	Dirty        bool   // it may have been carried out in part; else it was undone
	All          bool   // so was all that this run had applied before it
}

// Error says where and why it failed, and what to do.
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
	what := fmt.Sprintf("%s was undone, and the database is at version %d: mend the file and migrate again.", undone, e.Version)
	if e.Version < 0 {
		what = undone + " was undone, and the database is empty as it was: mend the file and migrate again."
	}
	if e.Dirty {
		what = fmt.Sprintf("The version is now %d and dirty, since the file may have been carried out in part: mend it, undo what "+
			"it has done, record the version before it with the command force, and migrate again.", e.Version)
	}
	return fmt.Sprintf("%s: %v\n%s\n%s", where, e.Err, strings.TrimRight(e.Excerpt, "\n"), what)
}

// Unwrap is the database's error.
func (e *StatementError) Unwrap() error { return e.Err }

// LockTimeoutError says that another process was migrating for all of the time that we were willing to wait. Nothing was
// changed. It matches migrate.ErrLockTimeout.
type LockTimeoutError struct {
	Timeout time.Duration      // how long we waited
	Held    *sqllock.HeldError // who held the lock when it was looked at last; nil if unknown
	Err     error              // what the last try came to, if more is known
}

// Error tells who holds the lock, as far as it is known, and what to do.
func (e *LockTimeoutError) Error() string {
	const what = "wait until it has migrated, or set a longer lock timeout, and try again"
	switch {
	case e.Held != nil:
		return fmt.Sprintf("another process has held the migration lock for %v: %s. If it is alive, %s; if it is stuck, end it, "+
			"and see `sqllock-migrate unlock`", e.Timeout, lock.Describe(e.Held), what)
	case e.Err != nil:
		return fmt.Sprintf("the migration lock couldn't be had within %v: %v", e.Timeout, e.Err)
	}
	return fmt.Sprintf("another process has held the migration lock for %v: %s", e.Timeout, what)
}

// Unwrap makes errors.Is find golang-migrate's own error, and what the last try came to.
func (e *LockTimeoutError) Unwrap() []error { return []error{migrate.ErrLockTimeout, e.Err} }

// LockLostError says that the migration lock was lost between two migrations, so another process may be migrating by now.
// Those before are applied and recorded. It is a sqllock.ErrLost.
type LockLostError struct {
	Version   int   // the version that the database was at
	Remaining int   // how many migrations were still to apply
	Err       error // how it was lost
}

// Error says where it stopped, and what to do.
func (e *LockLostError) Error() string {
	return fmt.Sprintf("stopped at version %d, cleanly, with %d more to apply, because the migration lock was lost and another process "+
		"may be migrating by now: migrate again to go on. If the database couldn't be reached for longer than the lock's TTL, or "+
		"a migration on SQLite takes longer than that, set a longer one (%v)", e.Version, e.Remaining, e.Err)
}

// Unwrap is how the lock was lost.
func (e *LockLostError) Unwrap() error { return e.Err }

// StoppedError says that ctx ended between two migrations. Those before are applied and recorded.
type StoppedError struct {
	Version   int   // the version that the database is at now
	Remaining int   // how many migrations were still to apply
	Cause     error // why ctx ended
}

// Error says where it stopped.
func (e *StoppedError) Error() string {
	return fmt.Sprintf("stopped at version %d, cleanly, with %d more to apply: migrate again to go on (%v)",
		e.Version, e.Remaining, e.Cause)
}

// Unwrap is how the context ended, and why.
func (e *StoppedError) Unwrap() error { return e.Cause }

// UnknownVersionError says that there is no migration of that version.
type UnknownVersionError struct {
	Version, Latest uint // the one that isn't there, and the last one that is
	Asked           bool // it is the version that the caller named; else the one that the database is at
}

// Error says what to do.
func (e *UnknownVersionError) Error() string {
	switch {
	case e.Asked:
		return fmt.Sprintf("there is no migration of version %d; the latest is %d", e.Version, e.Latest)
	case e.Version > e.Latest:
		return fmt.Sprintf("the database is at version %d, and the latest migration known here is %d: a newer release has migrated it; "+
			"use that one", e.Version, e.Latest)
	}
	return fmt.Sprintf("the database is at version %d, of which there is no migration: its file is missing, or these aren't "+
		"that database's migrations", e.Version)
}

// ShortError says that fewer migrations were left than asked for. Those that were there are applied.
type ShortError struct {
	Asked, Short int // how many were asked for, and how many of these weren't there
}

// Error says how many.
func (e *ShortError) Error() string {
	return fmt.Sprintf("asked for %d migrations, and there were only %d to apply", e.Asked, e.Asked-e.Short)
}

// ConnectError says that the database couldn't be reached or wouldn't let us in. Nothing was changed.
type ConnectError struct {
	Err error // the driver's
}

// Error says what to check.
func (e *ConnectError) Error() string {
	return fmt.Sprintf("can't connect to the database: %v\ncheck that it is there and running, and what the URL says: host, port, "+
		"user, password, path", e.Err)
}

// Unwrap is the driver's error.
func (e *ConnectError) Unwrap() error { return e.Err }

// ended is how and why ctx ended.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() { //nolint:errorlint // whether it is that very value
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
