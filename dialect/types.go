package dialect

import (
	"fmt"
	"time"
)

// Server is what Probe has found out about a server.
type Server struct {
	// Product and Version are what the server calls itself: "MariaDB", "10.11.19".
	Product, Version string

	// Versioned reports whether the table sqllock_schema_migrations exists; Schema and Dirty come
	// from it. If it doesn't exist, the tables were not made by golang-migrate, and Probe has tried
	// them.
	Versioned bool
	Schema    uint // the version in the table
	Dirty     bool // the table's flag: a migration failed half-way, or is under way
	Several   bool // the table has several rows, so neither Schema nor Dirty is known

	// CompatibleFrom is the oldest schema version whose programs may use the tables, as
	// sqllock_schema says where the tables are newer than the dialect. It is zero if the tables
	// don't say or aren't newer.
	CompatibleFrom uint

	// SingleRowOnly reports that statements on several rows can fail together, again and again,
	// because other servers of a cluster write some of these rows too. The caller requests one lock
	// at a time.
	SingleRowOnly bool
}

// Serves reports whether a program written for the given schema version may use the tables: they
// have that version, or a newer one that declares itself compatible.
func (s Server) Serves(version uint) bool {
	return s.Schema == version || s.Schema > version && s.CompatibleFrom > 0 && s.CompatibleFrom <= version
}

// Lease is a row of sqllock_leases to be written.
type Lease struct {
	ID     string        // unique for ever
	Holder string        // names the process, for people
	TTL    time.Duration // how long the lease lasts from each renewal
}

// EndedPrefix is prepended to the id of a lease when it is ended. The row keeps the time of its
// end, and a heartbeat no longer finds it.
const EndedPrefix = "ended."

// MaxLeaseID is the maximum length of a lease id in characters. It leaves room for [EndedPrefix].
const MaxLeaseID = 64 - len(EndedPrefix)

// Expiry is what ExpireLeases reports about a lease.
type Expiry struct {
	Dead bool // the lease can't be renewed any more
	// how long the lease has been dead, as far as known; zero if it was deleted
	ExpiredFor time.Duration
	Remaining  time.Duration // how long the lease is still alive
}

// Renewal is one renewal of a lease. The creation of a lease is its first renewal.
type Renewal struct {
	LeaseID string // the lease
	// by the database's clock, in microseconds; a different value is a different renewal
	RenewedAt time.Time
	TTL       time.Duration // how long the lease lasts from then on
}

// Bar keeps a free lock from being taken. It comes from HoldAtLeast or LockDelay.
type Bar struct {
	Key
	Fence int64 // of the lock's last acquisition
}

// Key identifies a lock row.
type Key struct {
	Name string // 1 to 255 bytes, compared byte for byte
	Slot int    // 0 for the exclusive lock
}

// Request asks for one lock.
type Request struct {
	Key
	LeaseID string // the live lease to hold the lock under
	Owner   string // unique to this acquisition
	Note    string // for people

	// the lock isn't free again before now + HoldAtLeast, even if released
	HoldAtLeast time.Duration
	// after its lease runs out, the lock isn't free for this long; no delay after a release
	LockDelay time.Duration
}

// Grant is the result of a [Request].
type Grant struct {
	Granted bool  // false if another holds the lock or it is barred
	Fence   int64 // of this acquisition; zero if not granted
}

// Claim names a lock and the owner that is expected to hold it.
type Claim struct {
	Key
	Owner string // as in the Request that was granted
}

// FenceAdvance asks for a greater fence on a lock that is held.
type FenceAdvance struct {
	Claim
	Fence int64 // the fence is at least this from now on
}

// MaxFence is the greatest fence that may be requested. An engine's integers leave room above it
// for the fences that follow, each at least one more than the last. As a time in microseconds it
// lies in the year 148108.
const MaxFence = 1 << 62

// Check returns an error that wraps [ErrInvalid] if the fence is greater than [MaxFence].
func (r FenceAdvance) Check() error {
	if r.Fence > MaxFence {
		return fmt.Errorf("%w: fence %d is greater than %d", ErrInvalid, r.Fence, int64(MaxFence))
	}
	return nil
}

// DeadHolder names a lock row whose lease is dead, as it was read.
type DeadHolder struct {
	Key
	Fence      int64         // of the row
	LeaseID    string        // of the row
	ExpiredFor time.Duration // how long the lease has been dead, as in Expiry
}

// Row is a lock row as Get and List read it. It may be out of date. It serves to inform people and
// to choose what to try, never to decide.
type Row struct {
	Key
	// false if the lock was never taken or the row was purged; the other fields are zero
	Exists     bool
	Fence      int64         // of the last acquisition
	AcquiredAt time.Time     // last acquisition or release, by the database's clock
	FreeIn     time.Duration // time until the lock is free; zero or less means no bar
	Bar        time.Duration // if FreeIn > 0, the whole length of the bar or a little more
	Note       string        // of the last acquisition

	Held      bool          // the row names a lease; otherwise the fields below are zero
	Owner     string        // of the acquisition
	LeaseID   string        // the lease that the lock is held under
	Lease     LeaseState    // the state in which the lease was found
	Holder    string        // empty if the lease is gone
	Remaining time.Duration // until the lease expires; zero or less if it has
	RenewedAt time.Time     // as in Renewal; zero if the lease is gone
	TTL       time.Duration // as in Renewal; zero if the lease is gone
}

// LeaseState is the state in which a lock row's lease was found.
type LeaseState int

// The states of a lease. A lease in state LeaseExpired can't be renewed any more. Its row remains
// until ExpireLeases or DeleteExpired.
const (
	LeaseGone LeaseState = iota
	LeaseLive
	LeaseExpired
)
