package integration

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/sqllock/sqllocktest/locktest"
)

// lockState is the state of an exclusive lock.
type lockState struct {
	holder int64 // the id of the holder's acquisition, or 0 if the lock is free
	last   int64 // the last fence
}

// step allows a lock to be acquired if it is free, with a greater fence than ever before, and to be
// released by its holder.
func (s lockState) step(d historyOp) (lockState, bool) {
	if d.verb == took {
		return lockState{d.id, d.fence}, s.holder == 0 && d.fence > s.last
	}
	return lockState{0, s.last}, s.holder == d.id
}

func init() {
	newHistory(history{
		name:  "lock",
		model: historyOps(lockState.step),
		act:   func(a *historyClient) { a.hold(historyOp{}) },
		must:  []verb{took, declined, gave, expired},
	})
}

// historyPermits is how many permits the semaphore has.
const historyPermits = 3

// permitsState is the state of a semaphore. Each permit is a lock of its own.
type permitsState [historyPermits]lockState

func (s permitsState) step(d historyOp) (_ permitsState, legal bool) {
	if d.slot < 0 || d.slot >= len(s) {
		return s, false
	}
	s[d.slot], legal = s[d.slot].step(d)
	return s, legal
}

func init() {
	newHistory(history{
		name:  "permits",
		model: historyOps(permitsState.step),
		act:   func(a *historyClient) { a.hold(historyOp{}, locktest.Permits(1+a.rand.IntN(historyPermits))) },
		must:  []verb{took, declined, gave, expired},
	})
}

// sharedState is the state of an RWLock.
type sharedState struct {
	writer  lockState
	readers string // the ids of the readers' acquisitions, sorted and separated by spaces
}

func (s sharedState) step(d historyOp) (_ sharedState, legal bool) {
	if d.write {
		s.writer, legal = s.writer.step(d)
		return s, legal && s.readers == ""
	}
	readers, id := strings.Fields(s.readers), strconv.FormatInt(d.id, 10)
	i, reads := slices.BinarySearch(readers, id)
	if d.verb == took {
		readers = slices.Insert(readers, i, id)
		legal = s.writer.holder == 0
	} else if legal = reads; legal {
		readers = slices.Delete(readers, i, i+1)
	}
	s.readers = strings.Join(readers, " ")
	return s, legal
}

func init() {
	newHistory(history{
		name:  "shared",
		model: historyOps(sharedState.step),
		act:   actShared,
		must:  []verb{took, declined, gave, expired},
	})
}

func actShared(a *historyClient) {
	if a.rand.IntN(3) == 0 {
		a.hold(historyOp{write: true}, locktest.Writer)
		return
	}
	a.hold(historyOp{}, locktest.Shared)
}
