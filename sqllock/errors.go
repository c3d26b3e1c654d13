package sqllock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
	"github.com/sqllock/sqllock/sqllock/internal/fail"
	"github.com/sqllock/sqllock/sqllock/internal/store"
)

// The errors that a program may want to distinguish with [errors.Is].
var (
	// ErrNotAcquired means that the lock was not acquired because another caller holds it or was
	// faster, or because ctx ended. It usually comes as a [*HeldError], which says who holds the
	// lock.
	ErrNotAcquired = errors.New("lock not acquired")

	// ErrLost means that the lock was held and can't be trusted any longer, because its lease could
	// not be renewed in time or because another holds it by now. [Lock.Context] ends with this
	// cause.
	ErrLost = errors.New("lock lost")

	// ErrNotHeld means that the lock was released already. From [Client.Break] it means that the
	// acquisition is over.
	ErrNotHeld = errors.New("lock not held")

	// ErrClosed means that the [Client] is closed.
	ErrClosed = store.ErrClosed

	// ErrSchema means that sqllock's tables are missing, or are of a version that this program
	// can't use. It comes as a [*SchemaError].
	ErrSchema = errors.New("schema mismatch")

	// ErrInvalid means that a value that the caller passed breaks a rule. The error names both.
	ErrInvalid = dialect.ErrInvalid

	// ErrDeadlock means that locks are waited for in a circle and this caller has to give up. For a
	// transaction lock, the server has aborted the transaction. For a lease lock it comes as a
	// [*DeadlockError], which describes the circle. On SQLite it also means that the calling
	// goroutine holds the only write lock in a transaction of its own.
	ErrDeadlock = dialect.ErrDeadlock

	// ErrUnsupported means that this server can't do what was asked.
	ErrUnsupported = dialect.ErrUnsupported

	// ErrRetryTx means that the transaction conflicted with another one. Roll it back and run it
	// again from its beginning.
	ErrRetryTx = dialect.ErrRetryTx
)

// errClosed is the error of every call on a closed Client.
var errClosed = fmt.Errorf("sqllock: %w", ErrClosed)

// HeldError says who holds a lock. It is an [ErrNotAcquired].
type HeldError struct {
	Name      string        // the lock's name
	Holder    string        // the holder's Options.Holder; empty if unknown
	Note      string        // the holder's note (WithNote)
	Fence     int64         // the holder's fencing token
	Since     time.Time     // when the holder acquired the lock, by the database's clock; zero for a session lock
	Connected time.Time     // of a session lock: when its connection was made, by the database's clock; zero if unknown
	Remaining time.Duration // until its lease expires, unless renewed; or until HoldAtLeast or LockDelay is over
	Self      bool          // the holder is this very Client
	Outage    error         // only for OnWait: why the database can't be used; nothing but Name is known then

	reason string
	queued bool // the lock may be free, but others are ahead of this caller in the queue
}

// Error describes what was tried, who holds the lock and since when, and when it may be free.
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

// sameAs reports whether other describes the same acquisition, as far as can be seen.
func (e *HeldError) sameAs(other *HeldError) bool {
	return other != nil && e.Holder == other.Holder && e.Fence == other.Fence &&
		e.Since.Equal(other.Since) && e.Connected.Equal(other.Connected)
}

// Is reports whether target is [ErrNotAcquired].
func (e *HeldError) Is(target error) bool { return target == ErrNotAcquired }

// outageError is what OnWait gets while the database can't be used.
func outageError(name string, why error) *HeldError {
	return &HeldError{Name: name, Outage: why, reason: fmt.Sprintf("the database can't be used: %v", why)}
}

const reasonSelf = "this process holds it itself; locks are not reentrant"

// heldError describes row as seen by a client with the lease self.
func heldError(row dialect.Row, self string) *HeldError {
	e := &HeldError{
		Name: row.Name, Holder: row.Holder, Note: row.Note, Fence: row.Fence,
		Since: row.AcquiredAt, Remaining: max(row.Remaining, 0), Self: row.Held && row.LeaseID == self,
	}
	switch {
	case !row.Exists || !row.Held && row.FreeIn <= 0:
		*e = HeldError{Name: row.Name, reason: "others were faster, several times in a row"}
	case !row.Held:
		e.Holder, e.Remaining = "", row.FreeIn
		e.reason = fmt.Sprintf("nobody holds it, but it may not be taken for another %s (HoldAtLeast or LockDelay)",
			row.FreeIn)
	case e.Self:
		e.reason = reasonSelf
	case row.Lease == dialect.LeaseLive:
		e.reason = fmt.Sprintf("held by %s, whose lease runs out in %s unless it is renewed", row.Holder, row.Remaining)
	default:
		e.reason = "its holder's lease has run out, but a transaction that it guards is not over"
	}
	return e
}

// SchemaError says what is wrong with sqllock's tables and what to run. It is an [ErrSchema].
type SchemaError struct {
	Have, Want     uint  // versions of the migrations; Have is 0 if there are none
	CompatibleFrom uint  // the oldest Want that the tables serve; 0 if they don't say
	Dirty          bool  // a migration failed half-way, or is under way
	Several        bool  // the version table has several rows, so Have and Dirty are unknown
	Err            error // the database's own error, or nil
}

// Error says what is wrong and what to run.
func (e *SchemaError) Error() string {
	switch {
	case e.Several:
		return "sqllock: the version table sqllock_schema_migrations has several rows, where one is allowed, " +
			"so it doesn't say which version the tables are at: see `sqllock-migrate own version`, find out which it " +
			"is, and record it with `sqllock-migrate own force VERSION`, which leaves no other row"
	case e.Dirty:
		return fmt.Sprintf("sqllock: a migration of sqllock's tables to version %d failed half-way, or is under way: "+
			"see `sqllock-migrate own status`, repair it, then `sqllock-migrate own force VERSION`", e.Have)
	case e.Have > e.Want && e.CompatibleFrom > 0:
		return fmt.Sprintf("sqllock: the tables are of version %d and serve programs from version %d on, and this "+
			"program is of version %d: update its sqllock; leave the tables as they are, since newer processes may be "+
			"using them", e.Have, e.CompatibleFrom, e.Want)
	case e.Have > e.Want:
		return fmt.Sprintf("sqllock: the tables are of version %d, newer than the %d that this program knows, and "+
			"don't say that it may use them: update its sqllock; leave the tables as they are, since newer processes "+
			"may be using them", e.Have, e.Want)
	case e.Have > 0 && e.Err == nil:
		return fmt.Sprintf("sqllock: the tables are of version %d, this program needs %d: run `sqllock-migrate own up`",
			e.Have, e.Want)
	}
	return fmt.Sprintf("sqllock: the tables are missing or incomplete: run `sqllock-migrate own up`: %v", e.Err)
}

// Is reports whether target is [ErrSchema].
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }

// Unwrap returns the database's own error, or nil.
func (e *SchemaError) Unwrap() error { return e.Err }

// lost returns the cause with which the context of a lost lock ends.
func lost(name, why string) error {
	return fmt.Errorf("sqllock: %w: %q: %s", ErrLost, name, why)
}

// gaveUp returns the error for a caller whose ctx ended before it got the lock.
func gaveUp(ctx context.Context, name string, held *HeldError) error {
	if held != nil {
		return fmt.Errorf("%w: %w", held, fail.Ended(ctx))
	}
	return fmt.Errorf("sqllock: %w: %q: %w", ErrNotAcquired, name, fail.Ended(ctx))
}
