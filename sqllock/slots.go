package sqllock

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/sqllock/sqllock/dialect"
)

// What a name's slots serve. Each slot is a row of sqllock_locks, and so a lock of its own: with fences, guards and leases.
// The permits of a semaphore are 0 to MaxPermits-1, and permit 0 is the exclusive lock.
const (
	slotExclusive = 0
	slotWriter    = 1 << 20      // of a name that has readers: who writes
	slotOnce      = 1<<20 + iota // the work for a key of Once is under way
	slotHandOver                 // somebody asks the leader to hand over
	slotQuorum                   // a vote for the holder of a Quorum lock
	slotMember                   // this database takes part in a Quorum
	slotWaits                    // only in queues: who waits for the exclusive lock, and holds others meanwhile
	slotWaitsOnce                // and who waits for the work for a key of Once
	slotReaders   = 1 << 21      // from here on, each reader has one
)

// use is what a lock's row serves. It stands at the head of the owner token, so that who finds the row taken can tell.
type use string

const (
	useLock     use = ""
	useElection use = "election"
	useQuorum   use = "quorum"
)

// token is a new owner token.
func (u use) token() string {
	if u == useLock {
		return rand.Text()
	}
	return string(u) + "." + rand.Text()
}

// slotUses tells people what the row of a slot is for.
var slotUses = map[int]string{slotOnce: "once", slotHandOver: "hand over", slotQuorum: "quorum", slotMember: "quorum member"}

// useOfRow is empty for locks, semaphores, readers and writers.
func useOfRow(row dialect.Row) string {
	if u := slotUses[row.Slot]; u != "" {
		return u
	}
	return string(useOf(row.Owner))
}

// forever is how long a lock is barred that is a sign, and isn't purged as long as it is. SQL Server's arithmetic ends at 68 years.
const forever = 50 * 365 * 24 * time.Hour

// isSign tells whether the row is barred for ever: it holds nothing, and tells something (see hasReaders, member).
func isSign(row dialect.Row) bool { return !row.Held && row.FreeIn > MaxHold }

// useOf reads an owner token.
func useOf(owner string) use {
	if head, _, found := strings.Cut(owner, "."); found {
		return use(head)
	}
	return useLock
}
