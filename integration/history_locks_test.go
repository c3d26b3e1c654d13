package integration

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sqllock/sqllock/sqllock"
)

// lockState is that of an exclusive lock.
type lockState struct {
	holder int64 // 0: free
	last   int64 // fence
}

// step: a lock is granted when it is free, with a greater fence than ever before, and let go by who has it.
func (s lockState) step(d deed) (lockState, bool) {
	if d.verb == took {
		return lockState{d.id, d.fence}, s.holder == 0 && d.fence > s.last
	}
	return lockState{0, s.last}, s.holder == d.id
}

func init() {
	chronicle(history{
		name:  "lock",
		model: deeds(lockState.step),
		act:   func(a *actor) { a.hold(deed{}) },
		must:  []verb{took, declined, gave, expired},
	})
}

// historyPermits is how many permits the semaphore has.
const historyPermits = 3

// permitsState: each permit is a lock of its own.
type permitsState [historyPermits]lockState

func (s permitsState) step(d deed) (_ permitsState, legal bool) {
	if d.slot < 0 || d.slot >= len(s) {
		return s, false
	}
	s[d.slot], legal = s[d.slot].step(d)
	return s, legal
}

func init() {
	chronicle(history{
		name:  "permits",
		model: deeds(permitsState.step),
		act:   func(a *actor) { a.hold(deed{}, sqllock.Permits(1+a.rand.IntN(historyPermits))) },
		must:  []verb{took, declined, gave, expired},
	})
}

// sharedState is that of a lock with readers and writers.
type sharedState struct {
	writer  lockState
	readers string // their ids, in order
}

func (s sharedState) step(d deed) (_ sharedState, legal bool) {
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
	chronicle(history{
		name:  "shared",
		model: deeds(sharedState.step),
		act:   actShared,
		must:  []verb{took, declined, gave, expired},
	})
}

func actShared(a *actor) {
	if a.rand.IntN(3) == 0 {
		a.hold(deed{write: true})
		return
	}
	a.hold(deed{}, sqllock.Shared())
}
