package web

import (
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

// The history is kept in memory of bounded size: so many acquisitions that are over, and so many
// breaks, of all locks together.
const (
	maxPast   = 4096
	maxBreaks = 256

	// maxShown is how many acquisitions the page of a lock shows.
	maxShown = 50
)

// acquisition is one acquisition of a lock, as far as it was seen.
type acquisition struct {
	inspect.Lock           // as it was seen last
	Seen         time.Time // when it was seen first
	Gone         time.Time // when it was seen to be over; zero if it isn't
}

// broken is a break through the page.
type broken struct {
	Lock   inspect.Lock
	At     time.Time
	By     string
	Reason string
}

// history is what the handler has seen since it was made. It sees what is read while somebody looks
// at a page, so it misses what came and went in between.
type history struct {
	mu      sync.Mutex
	current map[acquired]*acquisition
	past    ring[acquisition]
	breaks  ring[broken]
	latest  time.Time // of the readings
}

// acquired identifies an acquisition.
type acquired struct {
	name   string
	kind   sqllock.Kind
	permit int
	fence  int64
	holder string // two readers may have the same fence
}

func newHistory() *history {
	return &history{
		current: map[acquired]*acquisition{},
		past:    ring[acquisition]{size: maxPast},
		breaks:  ring[broken]{size: maxBreaks},
	}
}

// see compares a reading with what was seen before.
func (h *history) see(r *reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.at.Before(h.latest) { // the readings of two watchers may come in another order
		return
	}
	h.latest = r.at
	now := make(map[acquired]*acquisition, len(r.Locks))
	for _, l := range r.Locks {
		if l.State != sqllock.StateHeld && l.State != sqllock.StateExpired {
			continue
		}
		key := acquired{name: l.Name, kind: l.Kind, fence: l.Fence, holder: l.Holder}
		if l.Permit != nil {
			key.permit = *l.Permit
		}
		a := h.current[key]
		if a == nil {
			a = &acquisition{Seen: r.at}
		}
		a.Lock = l
		now[key] = a
	}
	for key, a := range h.current {
		if now[key] == nil {
			a.Gone = r.at
			h.past.add(*a)
		}
	}
	h.current = now
}

// of returns the acquisitions of a name, the latest first.
func (h *history) of(name string) []acquisition {
	h.mu.Lock()
	defer h.mu.Unlock()
	var seen []acquisition
	for _, a := range h.current {
		if a.Name == name {
			seen = append(seen, *a)
		}
	}
	for _, a := range h.past.all {
		if a.Name == name {
			seen = append(seen, a)
		}
	}
	slices.SortFunc(seen, func(a, b acquisition) int { return b.Since.Compare(a.Since) })
	return seen[:min(len(seen), maxShown)]
}

// broke records a break.
func (h *history) broke(b broken) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breaks.add(b)
}

// breaksOf returns the breaks of a name, the latest first.
func (h *history) breaksOf(name string) (breaks []broken) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.breaks.all {
		if b.Lock.Name == name {
			breaks = append(breaks, b)
		}
	}
	slices.SortFunc(breaks, func(a, b broken) int { return b.At.Compare(a.At) })
	return breaks
}

// ring keeps the last values.
type ring[T any] struct {
	size, next int
	all        []T // in no order
}

func (r *ring[T]) add(value T) {
	if len(r.all) < r.size {
		r.all = append(r.all, value)
		return
	}
	r.all[r.next] = value
	r.next = (r.next + 1) % r.size
}
