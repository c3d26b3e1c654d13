package dialect

import (
	"context"
	"time"
)

// Dialect is one SQL engine, bound to one database. Its methods are safe for concurrent use. They
// block until the database replies or ctx ends. They never retry: the caller does, because only the
// caller knows until when a result is still useful. While another connection has locked the
// database as a whole, as a writer of an SQLite file does, a method waits for that connection.
//
// Every method that takes a slice returns one result for each element, in the same order. It may
// process the elements in any order and treats each one separately: refusing one doesn't affect the
// others. For an empty slice it doesn't ask the database. After an error any of the elements may or
// may not have been carried out.
//
// A dialect that keeps something open, such as prepared statements, also implements io.Closer.
// Close releases that and leaves the pool alone. The dialect stays usable.
type Dialect interface {
	Leases
	Locks
	Waiters
	Outcomes
	Breaks

	// Name returns the engine's short name for messages, such as "postgres".
	Name() string

	// SchemaVersion returns the version of the engine's migrations that this dialect was written
	// for.
	SchemaVersion() uint

	// Probe tries whether this database can serve locks:
	//
	//   - The pool has more than one connection; see [CheckDB] for an *sql.DB.
	//   - The tables exist, with the columns that this dialect uses.
	//   - They can be written to: Probe writes a row and rolls it back, which reveals a read-only
	//     replica or a missing GRANT.
	//   - Two sessions that compete for a row exclude each other. Probe commits a row for this and
	//     removes it again. If both sessions get the row, or it is taken away under a guard, the
	//     error wraps [ErrUnsupported].
	Probe(ctx context.Context) (Server, error)

	// Classify returns what an error of one of these methods means for the request. It returns
	// [ClassUnknown] for an error that it doesn't recognize: that is the only safe assumption.
	Classify(err error) Class
}

// Leases are the rows of sqllock_leases. They prove, by the database's clock, that a process is
// alive.
type Leases interface {
	// CreateLease writes a new lease that expires TTL from now.
	CreateLease(ctx context.Context, lease Lease) error

	// RenewLeases is the heartbeat. For each lease, one conditional statement moves its end to TTL
	// from now, unless it has expired. A result of false means that the lease has expired or
	// doesn't exist, so that everything held under it is lost for certain.
	RenewLeases(ctx context.Context, ids []string) ([]bool, error)

	// ExpireLeases ends those of the leases that have run out, and reports which are dead. A lease
	// that doesn't exist is dead for ever, since ids are unique and are committed before any lock
	// names them. ExpireLeases is the counterpart of RenewLeases: of the two, exactly one wins. Its
	// result must be read where writes go, not on a replica behind a read/write splitter: a replica
	// may miss a lease that is new. The moment when the lease ran out is kept until DeleteExpired,
	// so that every caller that asks for it learns it.
	ExpireLeases(ctx context.Context, ids []string) ([]Expiry, error)

	// ExpireUnrenewed does what ExpireLeases does. It also ends a lease, whatever the clock says,
	// if the given renewal is its last one. It is for a caller that has watched the lease for
	// longer than its TTL. Such a lease counts as having run out now, or at its recorded end if
	// that is earlier.
	ExpireUnrenewed(ctx context.Context, renewals []Renewal) ([]Expiry, error)

	// OverlongLeases returns up to limit leases that have more time left than their TTL. The clock
	// was set back after their last renewal.
	OverlongLeases(ctx context.Context, limit int) ([]Renewal, error)

	// DeleteExpired deletes up to limit leases that ran out longer ago than ago. It skips rows that
	// others have locked, and returns how many it has deleted.
	DeleteExpired(ctx context.Context, ago time.Duration, limit int) (int, error)

	// DeleteLeases deletes the leases, expired or not. All locks held under them are thereby
	// released.
	DeleteLeases(ctx context.Context, ids []string) error
}

// Locks are the rows of sqllock_locks. A row changes only when its lock changes hands, and by
// AdvanceFence.
type Locks interface {
	// Acquire takes each lock whose row is free (it has no lease and no bar), is missing, or
	// already names the request's own owner. So a request can be repeated when its reply was lost.
	// The fence it returns is greater than any that the row ever had: max(previous + 1, the
	// database's clock in microseconds).
	//
	// Acquire never takes a row from a lease, dead or alive, and never waits behind a Guard. Taking
	// one free row costs one round trip and one commit. Taking several costs one commit and few
	// round trips; a free row among several may be refused because another statement is using it,
	// so that the others don't wait.
	Acquire(ctx context.Context, requests []Request) ([]Grant, error)

	// Release frees each lock that still names the claim's owner: at once, or when its HoldAtLeast
	// ends. Without a HoldAtLeast nothing bars the lock, whatever the clock does later. A result of
	// false means that the lock doesn't name the owner, and nothing was changed.
	//
	// A single claim waits behind a Guard of the same lock. A claim among several needn't wait, so
	// that the Guard of one lock doesn't delay the others. Its result may then be false because of
	// the Guard; the caller releases that claim again alone.
	//
	// One claim costs one round trip and one commit, unless a waiter can be notified (see
	// [Notifier]). Several cost one commit and few round trips.
	Release(ctx context.Context, claims []Claim) ([]bool, error)

	// Guard locks each row that still names the claim's owner, in the caller's transaction: until
	// that ends, nothing can Free or Release the lock. A result of false means that the row names
	// another owner, and nothing was locked. If tx is nil the error wraps [ErrInvalid].
	Guard(ctx context.Context, tx Tx, claims []Claim) ([]bool, error)

	// AdvanceFence raises the fence of each lock that still names its claim's owner to the given
	// fence. It never lowers a fence: advancing to a smaller one changes nothing. A result of false
	// means that the lock names another owner, and nothing was changed. For a fence over [MaxFence]
	// the error wraps [ErrInvalid]. Each element costs one statement and one commit. It waits
	// behind a Guard of the same lock.
	AdvanceFence(ctx context.Context, advances []FenceAdvance) ([]bool, error)

	// Get reads lock rows with the leases that they name. It reads the leases in a later statement,
	// or both in one statement where the engine reads all tables as of one moment; otherwise a
	// lease that was just created could be missing. It takes no lock and waits for none. It sees
	// every change that was acknowledged before it began, to any client, so it must read where
	// writes go: readers and writers of a name rely on that.
	Get(ctx context.Context, keys []Key) ([]Row, error)

	// Free frees each lock that still has the dead holder's fence and lease: at once, or when the
	// later one of its HoldAtLeast and of its LockDelay - ExpiredFor ends. A result of false means
	// that the lock changed hands or that a Guard is on it. Free doesn't wait for a Guard.
	Free(ctx context.Context, dead []DeadHolder) ([]bool, error)

	// EndBars ends the bar of each lock that is free, has the given fence and is still barred. It
	// is for a caller that has watched the bar for longer than it was to last. A result of false
	// means that the lock changed hands or isn't barred.
	EndBars(ctx context.Context, bars []Bar) ([]bool, error)

	// List returns up to limit lock rows beyond the key after, in key order: held ones only, or
	// all. It reads them as Get does, and sees every change that Get would see. The zero Key is
	// before all others.
	List(ctx context.Context, after Key, heldOnly bool, limit int) ([]Row, error)

	// Purge deletes up to limit lock rows that have been free, and not barred, for longer than
	// idle. It returns how many it has deleted. It keeps a row whose fence is ahead of the clock:
	// if the row were created again, its fence would go back.
	Purge(ctx context.Context, idle time.Duration, limit int) (int, error)
}
