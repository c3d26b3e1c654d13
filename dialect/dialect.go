package dialect

import (
	"context"
	"database/sql"
	"time"
)

// Dialect is one SQL engine, bound to one database. Its methods are safe for concurrent use, block until the
// database answers or ctx ends, and never retry: the caller does, because only the caller knows until when an
// answer is still worth having.
//
// Every method that takes a slice answers in the same order and length, may treat the elements in any order, and
// treats each one by itself: that one element is refused doesn't touch the others. An empty slice is answered
// without asking the database. On an error any of the elements may or may not have been carried out.
//
// A dialect that keeps something open (prepared statements, say) also implements io.Closer. Close gives that
// back, leaves the *sql.DB alone, and the dialect stays usable.
type Dialect interface {
	Leases
	Locks
	Waiters
	Outcomes

	// Name is the engine's short name for messages: "postgres".
	Name() string

	// SchemaVersion is the version of the engine's migrations that this dialect was written for.
	SchemaVersion() uint

	// Probe finds out, by trying, whether this database can serve locks: that there is a *sql.DB with more than
	// one connection (see CheckDB), that the tables are there with the columns this dialect uses, and that it may
	// write to them (a row written and rolled back: a read-only replica and a missing GRANT show here).
	Probe(ctx context.Context) (Server, error)

	// Classify says what an error that a method returned means for what was asked. It answers Unknown for what
	// it doesn't recognise: that is the only safe guess.
	Classify(err error) Class
}

// Leases are the rows of sqllock_leases: proof, by the database's clock, that a process is alive.
type Leases interface {
	// CreateLease writes a new lease that runs out TTL from now.
	CreateLease(ctx context.Context, lease Lease) error

	// RenewLeases is the heartbeat: one conditional statement a lease moves its end to TTL from now, if it hasn't
	// run out. False: it has, or is not there, and everything held under it is lost for certain.
	RenewLeases(ctx context.Context, ids []string) ([]bool, error)

	// BuryLeases deletes those of the leases that have run out, and tells which are dead. A lease that isn't
	// there is dead for ever, since ids are unique and are committed before any lock names them. It is the mirror
	// image of RenewLeases: of the two, exactly one wins. What it answers must be read where writes go, not on a
	// replica behind a read/write splitter: there a lease can be missing because it is new.
	BuryLeases(ctx context.Context, ids []string) ([]Burial, error)

	// BuryExpired deletes up to limit leases that have run out, skipping rows that others are at, and answers
	// how many.
	BuryExpired(ctx context.Context, limit int) (int, error)

	// DeleteLeases deletes the leases, run out or not: all the locks held under them are let go.
	DeleteLeases(ctx context.Context, ids []string) error
}

// Locks are the rows of sqllock_locks. A row changes only when its lock changes hands, and by Raise.
type Locks interface {
	// Acquire takes each lock whose row is free (no lease, and free_at has come), missing, or already names the
	// request's own owner: sending a request again, because its reply was lost, is harmless. The fence it answers
	// is greater than any that the row ever had: max(previous + 1, the database's clock in microseconds). It never
	// takes a row from a lease, dead or alive, and never waits behind a Guard. On a row that is free it is one
	// round trip and one commit; for several, one commit too and few round trips. Among others, a row that is free may
	// be refused because somebody is at it just now, so that the others don't wait.
	Acquire(ctx context.Context, requests []Request) ([]Grant, error)

	// Release frees each lock that still names the claim's owner, from max(free_at, now) on. False: it does not,
	// and nothing was changed. A single claim waits behind a Guard of the same lock; among others it needn't, so that
	// nobody waits for a stranger's Guard, and false may then mean that: ask again, alone. One round trip and one
	// commit, unless somebody waits who can be told (see Waker); for several, one commit too and few round trips.
	Release(ctx context.Context, claims []Claim) ([]bool, error)

	// Guard locks each row that still names the claim's owner, in the caller's transaction: until that ends,
	// nobody can Free or Release it. False: the row names somebody else, and nothing was locked. A nil tx is an
	// error that wraps ErrInvalid.
	Guard(ctx context.Context, tx *sql.Tx, claims []Claim) ([]bool, error)

	// Raise sets the fence of each lock that still names its claim's owner to the greater of the row's and the given one, so
	// that to raise to less changes nothing. False: it names another, and nothing was changed. A fence over MaxFence is an
	// error that wraps ErrInvalid. One statement and one commit each; it waits behind a Guard of the same lock.
	Raise(ctx context.Context, raises []Raise) ([]bool, error)

	// Look reads lock rows with the leases that they name: leases in a later statement, or both in one where the engine
	// reads all tables as of one moment; else a lease that was just created may be missing. It takes no lock and waits for
	// none. It sees the rows of all that was answered before it began, whoever had asked, and so must be read where writes
	// go: readers and writers of a name go by it.
	Look(ctx context.Context, keys []Key) ([]Row, error)

	// Free frees each lock that still has the orphan's fence and dead lease, from
	// max(free_at, now, now + lock_delay - overdue) on. False: it changed hands, or a Guard is on it: Free waits
	// for none.
	Free(ctx context.Context, orphans []Orphan) ([]bool, error)

	// List reads up to limit lock rows beyond the key after, in key order, held ones only or all, the way that
	// Look does and as fresh. The zero Key is before all others.
	List(ctx context.Context, after Key, heldOnly bool, limit int) ([]Row, error)

	// Purge deletes up to limit lock rows that have been free for longer than idle, and answers how many. A row
	// whose fence is ahead of the clock stays: made anew, its fence would go back.
	Purge(ctx context.Context, idle time.Duration, limit int) (int, error)
}
