package sqllock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// The errors that a program may want to tell apart with errors.Is.
var (
	// ErrNotAcquired: the lock is somebody else's. Mostly it comes as a *HeldError, which tells whose.
	ErrNotAcquired = errors.New("lock not acquired")

	// ErrLost: the lock was held and can't be trusted any longer, because its lease could not be renewed in time,
	// or because it is another's by now. It is the cause with which Lock.Context ends.
	ErrLost = errors.New("lock lost")

	// ErrNotHeld: the lock was released already; from Break: that acquisition of it is over.
	ErrNotHeld = errors.New("lock not held")

	// ErrHandOver: the leader of an election was asked to hand over to another. It is the cause with which the ctx ends that
	// Election.Run gives its function.
	ErrHandOver = errors.New("asked to hand over")

	// ErrClosed: the Client is closed.
	ErrClosed = errors.New("client closed")

	// ErrSchema: sqllock's tables are missing, or of another version than this program needs.
	ErrSchema = errors.New("schema mismatch")

	// ErrInvalid: a value that the caller passed breaks a rule. The error names both.
	ErrInvalid = dialect.ErrInvalid

	// ErrDeadlock: locks are waited for in a circle, and the one who asked has to give up: for a transaction lock the server
	// has ended the transaction, for a lease lock it comes as a *DeadlockError, which tells the circle.
	ErrDeadlock = dialect.ErrDeadlock

	// ErrUnsupported: this server can't do what was asked.
	ErrUnsupported = dialect.ErrUnsupported

	// ErrFailedBefore: the work for a key has failed, and that is remembered (RememberFailure). It comes as an *OutcomeError.
	ErrFailedBefore = errors.New("failed before")

	// ErrNotRemembered: the work for a key was done, and its outcome may not be remembered: it may be done again.
	ErrNotRemembered = errors.New("done, but not remembered")

	// ErrBeginAgain: the transaction has met with another one's. Roll it back and do it again from its beginning.
	ErrBeginAgain = errors.New("roll the transaction back and begin it again")
)

// errClosed is what every call on a closed Client answers.
var errClosed = fmt.Errorf("sqllock: %w", ErrClosed)

// HeldError tells who holds a lock. It is an ErrNotAcquired.
type HeldError struct {
	Name      string        // the lock's
	Holder    string        // as its Client was named (Options.Holder); empty where it isn't known
	Note      string        // what it said of itself (WithNote)
	Fence     int64         // its fencing token
	Since     time.Time     // when it took the lock, by the database's clock; zero for a session lock
	Connected time.Time     // a session lock: when its holder's connection was made, by the database's clock; zero if unknown
	Remaining time.Duration // until its lease runs out, unless it is renewed; or until the lock may be taken (HoldAtLeast, LockDelay)
	Self      bool          // the holder is this very Client

	reason  string
	queued  bool // nobody may have it: others stand before us
	readers bool // nobody may have it in this way: the name has readers
}

// Error tells what was tried, who holds the lock since when, and when to expect it back.
func (e *HeldError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sqllock: lock %q not acquired: %s", e.Name, e.reason)
	if e.Note != "" {
		fmt.Fprintf(&b, " (%s)", e.Note)
	}
	if !e.Since.IsZero() {
		fmt.Fprintf(&b, "; taken at %s with fence %d", e.Since.UTC().Format(time.RFC3339Nano), e.Fence)
	}
	return b.String()
}

// sameAs tells whether that is the same acquisition, as far as it can be seen.
func (e *HeldError) sameAs(other *HeldError) bool {
	return other != nil && e.Holder == other.Holder && e.Fence == other.Fence &&
		e.Since.Equal(other.Since) && e.Connected.Equal(other.Connected)
}

// Is makes errors.Is(err, ErrNotAcquired) true.
func (e *HeldError) Is(target error) bool { return target == ErrNotAcquired }

const reasonSelf = "this process holds it itself; locks are not reentrant"

// heldError describes row as it was seen by a client with that lease.
func heldError(row dialect.Row, self string) *HeldError {
	e := &HeldError{
		Name: row.Name, Holder: row.Holder, Note: row.Note, Fence: row.Fence,
		Since: row.AcquiredAt, Remaining: max(row.Remaining, 0), Self: row.Held && row.LeaseID == self,
	}
	switch {
	case !row.Exists || !row.Held && row.FreeIn <= 0:
		*e = HeldError{Name: row.Name, reason: "others were faster, several times in a row"}
	case hasReaders(row):
		e.readers, e.reason = true, "its name is in use as a shared lock (Shared)"
	case !row.Held:
		e.Holder, e.Remaining = "", row.FreeIn
		e.reason = fmt.Sprintf("nobody holds it, but it may not be taken for another %s (HoldAtLeast or LockDelay)", row.FreeIn)
	case e.Self:
		e.reason = reasonSelf
	case row.Lease == dialect.LeaseLive:
		e.reason = fmt.Sprintf("held by %s, whose lease runs out in %s unless it is renewed", row.Holder, row.Remaining)
	default:
		e.reason = "its holder's lease has run out, but a transaction that it guards is not over"
	}
	return e
}

// SchemaError tells what is wrong with sqllock's tables and what to run. It is an ErrSchema.
type SchemaError struct {
	Have, Want uint  // versions of the migrations; Have is 0 where there are none
	Dirty      bool  // a migration failed half-way
	Err        error // the database's own, if there was one
}

// Error tells what to run.
func (e *SchemaError) Error() string {
	switch {
	case e.Dirty:
		return fmt.Sprintf("sqllock: a migration of sqllock's tables failed half-way at version %d: "+
			"see `sqllock-migrate status`, repair it, then `sqllock-migrate force VERSION`", e.Have)
	case e.Have > e.Want:
		return fmt.Sprintf("sqllock: the tables are of version %d, newer than the %d that this program knows: "+
			"update the program's sqllock, or run `sqllock-migrate goto %d`", e.Have, e.Want, e.Want)
	case e.Have > 0 && e.Err == nil:
		return fmt.Sprintf("sqllock: the tables are of version %d, this program needs %d: run `sqllock-migrate up`",
			e.Have, e.Want)
	}
	return fmt.Sprintf("sqllock: the tables are missing or incomplete: run `sqllock-migrate up`: %v", e.Err)
}

// Is makes errors.Is(err, ErrSchema) true.
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// Unwrap is the database's own error, if there was one.
func (e *SchemaError) Unwrap() error { return e.Err }

// invalid is an error about a value that the caller passed.
func invalid(format string, args ...any) error {
	return fmt.Errorf("sqllock: %w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// lost is the cause with which the context of a lost lock ends.
func lost(name, why string) error {
	return fmt.Errorf("sqllock: %w: %q: %s", ErrLost, name, why)
}

// failed is the error for something that the database refused or couldn't do.
func (c *Client) failed(what string, err error) error {
	switch c.dialect.Classify(err) {
	case dialect.NoSchema:
		return &SchemaError{Want: c.dialect.SchemaVersion(), Err: err}
	case dialect.ReadOnly:
		return fmt.Errorf("sqllock: %s: %w: it takes no writes (is it a replica?); connect to the primary: %w",
			what, ErrUnsupported, err)
	case dialect.Unknown, dialect.Transient, dialect.Permanent: // the error says it all
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("sqllock: %s: no answer from the database in time: %w", what, err)
	}
	return fmt.Errorf("sqllock: %s: %w", what, err)
}

// gaveUp is the error for a caller whose ctx ended before the lock was his.
func gaveUp(ctx context.Context, name string, held *HeldError) error {
	if held != nil {
		return fmt.Errorf("%w: %w", held, ended(ctx))
	}
	return fmt.Errorf("sqllock: %w: %q: %w", ErrNotAcquired, name, ended(ctx))
}

// ended is the error of a ctx that has ended, with its cause.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}
