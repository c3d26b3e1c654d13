package sqllock

import (
	"strconv"

	"github.com/sqllock/sqllock/sqllock/internal/request"
)

// Kind is the kind of a lock. Locks of different kinds are independent of each other, even under
// one name.
type Kind string

// The kinds of locks.
const (
	KindLock         Kind = "lock"          // Client.Acquire
	KindRWLock       Kind = "rwlock"        // Client.RWLock
	KindSemaphore    Kind = "semaphore"     // Client.Semaphore
	KindElection     Kind = "election"      // election.New
	KindHandOver     Kind = "hand-over"     // a request to a leader to hand over
	KindOnce         Kind = "once"          // the work for a key of once.Do
	KindQuorum       Kind = "quorum"        // a vote for a lock of a Quorum
	KindQuorumMember Kind = "quorum member" // the membership of this database in a Quorum
	KindSession      Kind = "session"       // Client.Session; it has no row and is not listed
)

// kindOfSlot returns the kind of lock that has that slot.
func kindOfSlot(slot int) Kind {
	switch {
	case slot >= request.SlotReaders || slot == request.SlotWriter:
		return KindRWLock
	case slot >= request.SlotPermits && slot < request.SlotPermits+MaxPermits:
		return KindSemaphore
	}
	switch slot {
	case request.SlotExclusive:
		return KindLock
	case request.SlotOnce:
		return KindOnce
	case request.SlotHandOver:
		return KindHandOver
	case request.SlotQuorum:
		return KindQuorum
	case request.SlotMember:
		return KindQuorumMember
	case request.SlotElection:
		return KindElection
	}
	return Kind("slot " + strconv.Itoa(slot)) // of a newer version
}
