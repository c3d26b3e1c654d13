package web

import (
	"slices"
	"sync"
	"time"

	"github.com/sqllock/sqllock/sqllock"
	"github.com/sqllock/sqllock/sqllock/inspect"
)

const (
	// maxPast is how many acquisitions that are over are kept in memory, of all locks together.
	maxPast = 4096

	// maxShown is how many acquisitions the page of a lock shows.
	maxShown = 50
)

// acquisition is one acquisition of a lock, as far as it was seen.
type acquisition struct {
	inspect.Lock           // as it was seen last
	Seen         time.Time // when it was seen first
	Gone         time.Time // when it was seen to be over; zero if it isn't
}

// history is what the handler has seen since it was made. It sees what is read while somebody looks
// at a page, so it misses what came and went in between.
type history struct {
	mu      sync.Mutex
	current map[acquired]*acquisition
	past    ring
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
	return &history{current: map[acquired]*acquisition{}, past: ring{size: maxPast}}
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

// ring keeps the last acquisitions.
type ring struct {
	size, next int
	all        []acquisition // in no order
}

func (r *ring) add(a acquisition) {
	if len(r.all) < r.size {
		r.all = append(r.all, a)
		return
	}
	r.all[r.next] = a
	r.next = (r.next + 1) % r.size
}
