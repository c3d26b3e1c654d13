package inspect

import (
	"fmt"
	"time"

	"github.com/sqllock/sqllock/sqllock"
)

// Lock is a lock, as it was when the database was read.
type Lock struct {
	Name        string        `json:"name"`                    // the lock's name
	Kind        sqllock.Kind  `json:"kind"`                    // the kind of lock
	Shared      bool          `json:"shared,omitempty"`        // held by a reader of an RWLock
	Permit      *int          `json:"permit,omitempty"`        // of a semaphore
	State       sqllock.State `json:"state"`                   // whether it is held
	Holder      string        `json:"holder,omitempty"`        // the process, by its Options.Holder
	Note        string        `json:"note,omitempty"`          // of the last acquisition
	Fence       int64         `json:"fence"`                   // of the last acquisition
	Since       time.Time     `json:"since"`                   // when it was acquired, or released
	RemainingMS float64       `json:"remaining_ms"`            // as Info.Remaining
	HeartbeatMS *float64      `json:"heartbeat_ms,omitempty"`  // as Info.Heartbeat; nil unless the holder is alive
	Waiters     int           `json:"waiters"`                 // how many processes wait for it
	Waiting     *time.Time    `json:"waiting_since,omitempty"` // since when the first of them waits
}

// Of returns the Lock that an Info describes, without its waiters.
func Of(i sqllock.Info) Lock {
	l := Lock{
		Name: i.Name, Kind: i.Kind, Shared: i.Shared, State: i.State, Holder: i.Holder, Note: i.Note, Fence: i.Fence,
		Since: i.Since, RemainingMS: milliseconds(i.Remaining),
	}
	if i.Kind == sqllock.KindSemaphore {
		l.Permit = &i.Permit
	}
	if i.State == sqllock.StateHeld {
		beat := milliseconds(i.Heartbeat)
		l.HeartbeatMS = &beat
	}
	return l
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// KindText returns the kind for people, with the permit of a semaphore, and with what the holder of
// an RWLock is.
func (l Lock) KindText() string {
	switch {
	case l.Permit != nil:
		return fmt.Sprintf("%s #%d", l.Kind, *l.Permit)
	case l.Shared:
		return string(l.Kind) + ", reader"
	case l.Kind == sqllock.KindRWLock:
		return string(l.Kind) + ", writer"
	}
	return string(l.Kind)
}

// HolderText returns the holder for people.
func (l Lock) HolderText() string {
	if l.Holder == "" {
		return "a process without a name"
	}
	return Printable(l.Holder)
}

// Remaining returns how long the lock stays taken without another heartbeat, or how long it can't
// be taken.
func (l Lock) Remaining() time.Duration { return duration(l.RemainingMS) }

// Alive reports whether the holder is alive, as far as the database knows.
func (l Lock) Alive() bool { return l.State == sqllock.StateHeld }

// Heartbeat returns how long ago the holder renewed its lease, or 0 if it isn't alive.
func (l Lock) Heartbeat() time.Duration {
	if l.HeartbeatMS == nil {
		return 0
	}
	return duration(*l.HeartbeatMS)
}

// Stuck reports whether somebody has to look at the lock: its holder is dead, or somebody has
// waited for longer than limit at the moment now.
func (l Lock) Stuck(now time.Time, limit time.Duration) bool {
	return l.State == sqllock.StateExpired || l.Waiting != nil && now.Sub(*l.Waiting) > limit
}

// ByFence returns the lock with that fence.
func ByFence(locks []Lock, fence int64) (found Lock, ok bool) {
	for _, l := range locks {
		if l.Fence == fence {
			return l, true
		}
	}
	return Lock{}, false
}
