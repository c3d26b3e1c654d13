package dialect

import (
	"fmt"
	"time"
)

// Server is what Probe found.
type Server struct {
	// Product and Version as the server calls itself: "MariaDB", "10.11.19".
	Product, Version string

	// Versioned: there is a table sqllock_schema_migrations, which has Schema and Dirty. Where it isn't there, the
	// tables were made by something else than golang-migrate, and Probe has tried them.
	Versioned bool
	Schema    uint // the version in it
	Dirty     bool // its flag: a migration failed half-way

	// Alone: several rows in one statement can fail together, again and again, because other servers of a cluster write
	// some of them too. Ask for one lock at a time.
	Alone bool
}

// Lease is a row of sqllock_leases to be written.
type Lease struct {
	ID     string        // unique for ever
	Holder string        // who, for people
	TTL    time.Duration // how long it lasts from each renewal
}

// Burial is what became of a lease that BuryLeases was asked about.
type Burial struct {
	Dead      bool          // it can't be renewed any more
	Overdue   time.Duration // dead: for how long, as far as known; zero where somebody else has buried it
	Remaining time.Duration // alive: for how long yet
}

// Key names a lock row: slot 0 is the exclusive lock of that name.
type Key struct {
	Name string // 1 to 255 bytes, compared byte for byte
	Slot int    // 0 for the exclusive lock
}

// Request asks for one lock.
type Request struct {
	Key
	LeaseID string // the living lease to hold it under
	Owner   string // unique to this acquisition
	Note    string // for people

	HoldAtLeast time.Duration // not free again before now + this, even if released
	LockDelay   time.Duration // not free before this has passed since its lease ran out; nothing after a release
}

// Grant answers a Request.
type Grant struct {
	Granted bool  // false: it is another's, or barred
	Fence   int64 // of this acquisition; zero if not granted
}

// Claim names a lock as its owner knows it.
type Claim struct {
	Key
	Owner string // as in the Request that was granted
}

// Raise asks for a greater fence on a lock that is held.
type Raise struct {
	Claim
	Fence int64 // at least this much from now on
}

// MaxFence is the greatest fence that may be asked for: an engine's integers leave room behind it for those that are to
// come, each at least one more than the last. As microseconds it is in the year 148108.
const MaxFence = 1 << 62

// Check refuses what would leave no room for the fences to come.
func (r Raise) Check() error {
	if r.Fence > MaxFence {
		return fmt.Errorf("%w: fence %d is greater than %d", ErrInvalid, r.Fence, int64(MaxFence))
	}
	return nil
}

// Orphan names a lock row whose lease is dead, as it was seen.
type Orphan struct {
	Key
	Fence   int64         // of the row
	LeaseID string        // of the row
	Overdue time.Duration // how long the lease has been dead, as Burial has it
}

// Row is a lock row as Look and List read it. It is a picture of a moment that has passed: good for telling
// people and for choosing what to try, never for deciding.
type Row struct {
	Key
	Exists     bool          // false: never taken, or purged; the fields below are zero
	Fence      int64         // of the last acquisition
	AcquiredAt time.Time     // last change of hands, by the database's clock
	FreeIn     time.Duration // not free before this has passed; zero or less: no bar
	Note       string        // of the last acquisition

	Held      bool          // names a lease; else the fields below are zero
	Owner     string        // of the acquisition
	LeaseID   string        // that it is held under
	Lease     LeaseState    // what the lease was found to be
	Holder    string        // empty where the lease is gone
	Remaining time.Duration // until the lease runs out; zero or less when it has
}

// LeaseState is what a lock row's lease was found to be.
type LeaseState int

// A lease that is LeaseExpired can't be renewed any more, and is there until somebody buries it.
const (
	LeaseGone LeaseState = iota
	LeaseLive
	LeaseExpired
)
