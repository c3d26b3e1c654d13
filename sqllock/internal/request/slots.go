package request

import (
	"crypto/rand"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/dialect"
)

// Each kind has its own slots within a name, so that the kinds have separate key spaces. A slot is
// one row of sqllock_locks, and so a lock of its own, with fences, guards and leases.
const (
	SlotExclusive = 0
	SlotPermits   = 1 << 19 // the first permit of a semaphore; each has a slot
	SlotWriter    = 1 << 20 // the writer of an RWLock

	SlotOnce     = 1<<20 + 2 // the work for a key of once.Do
	SlotHandOver = 1<<20 + 3 // a request to hand over
	SlotQuorum   = 1<<20 + 4 // a vote for the holder of a Quorum's lock
	SlotMember   = 1<<20 + 5 // the membership of this database in a Quorum
	SlotElection = 1<<20 + 8 // the leader of an election

	SlotReaders = 1 << 21 // the first reader of an RWLock; each has a slot
)

// The slots of the queues for deadlock detection, whose waiters hold something. No lock has them.
const (
	SlotWaits         = 1<<20 + 6
	SlotWaitsOnce     = 1<<20 + 7
	SlotWaitsWriter   = 1<<20 + 9
	SlotWaitsElection = 1<<20 + 10
)

// WaitSlots has these queues by the slot that is waited for.
var WaitSlots = map[int]int{
	SlotExclusive: SlotWaits, SlotWriter: SlotWaitsWriter, SlotOnce: SlotWaitsOnce, SlotElection: SlotWaitsElection,
}

// isPermit reports whether that is the slot of a semaphore's permit.
func isPermit(slot int) bool { return slot >= SlotPermits && slot < SlotPermits+MaxPermits }

// QueueSlot returns the slot of the queue for that slot.
func QueueSlot(slot int) int {
	switch {
	case isPermit(slot):
		return SlotPermits
	case slot >= SlotReaders:
		return SlotWriter
	}
	return slot
}

// An election's owner tokens carry details after their random part, because the row of a waiter or
// of a request has no column for them. "RANDOM.p7" is the token of a candidate whose Priority is 7.
// "RANDOM.to" is the token of a request to hand over whose note names a holder rather than a term.
const (
	tokenPriority = "p"
	tokenHandsTo  = "to"
)

// Token returns a new owner token.
func (r *Request) Token() string {
	token := rand.Text()
	switch {
	case r.HandsTo:
		return token + "." + tokenHandsTo
	case r.Priority != 0:
		return token + "." + tokenPriority + strconv.Itoa(r.Priority)
	}
	return token
}

// tokenDetails returns what follows the random part of an owner token.
func tokenDetails(owner string) string {
	_, details, _ := strings.Cut(owner, ".")
	return details
}

// PriorityOf returns the Priority of the candidate that has the token.
func PriorityOf(owner string) int {
	digits, found := strings.CutPrefix(tokenDetails(owner), tokenPriority)
	if n, err := strconv.Atoi(digits); found && err == nil {
		return n
	}
	return 0
}

// IsMember reports whether row is a membership row, which says that its database takes part in a
// Quorum. Nobody holds it, and it is barred for ever.
func IsMember(row dialect.Row) bool { return row.Slot == SlotMember }

// HandsTo reports whether the owner token is that of a request to hand over that names a holder.
func HandsTo(owner string) bool { return tokenDetails(owner) == tokenHandsTo }
