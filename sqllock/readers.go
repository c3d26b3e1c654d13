package sqllock

import (
	"math/rand/v2"
	"sync"
)

// stalls are the slots in which this process has read, name by name: taken again, they are rows that are there already.
type stalls struct {
	mu   sync.Mutex
	free map[string][]int
}

const (
	mostStalls = 64      // of one name that are kept
	manyStalls = 1 << 30 // among which a new one is chosen at random
)

func (s *stalls) take(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := s.free[name]
	if len(free) == 0 {
		return slotReaders + rand.N(manyStalls)
	}
	s.free[name] = free[:len(free)-1]
	return free[len(free)-1]
}

// leave is for a slot that was released.
func (s *stalls) leave(name string, slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == nil || len(s.free) >= maxNames && s.free[name] == nil {
		s.free = make(map[string][]int)
	}
	if len(s.free[name]) < mostStalls {
		s.free[name] = append(s.free[name], slot)
	}
}

// knowsReaders tells whether the name was found to have readers since the lease was opened. It isn't remembered for longer: a
// database that was made anew, and has forgotten, has lost the lease too.
func (l *lease) knowsReaders(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readers[name]
}

func (l *lease) learnReaders(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers == nil || len(l.readers) >= maxNames {
		l.readers = make(map[string]bool)
	}
	l.readers[name] = true
}

// amongReaders is the wish for a name that is known to have readers.
func (c *Client) amongReaders(w wish) wish {
	if !w.mayWrite() {
		return w
	}
	c.mu.Lock()
	t := c.leases[w.term()]
	c.mu.Unlock()
	if t == nil {
		return w
	}
	if l := t.settled(); l != nil && l.knowsReaders(w.name) {
		w.slot = slotWriter
	}
	return w
}

// reads tells whether it was taken with Shared.
func (l *Lock) reads() bool { return l.claim.Slot >= slotReaders }

// writes tells whether it is the writers' lock of a name that has readers.
func (l *Lock) writes() bool { return l.claim.Slot == slotWriter }
